package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// SkipBodyHash leaves the SHA-256 of bodies out of signatures from now on, if
// this store allows that: it is a sixth of a broker's processor time with a
// plain-http endpoint. Over TLS it is left out anyway. The CRC32C of each put
// then guards the body, so the store must refuse a body that does not match;
// the objects of this check below probe/<nonce>/ are removed. An error is why
// signatures cover bodies as before; it is no reason not to use the store.
//
// An attacker that can change a body in transit could choose one of the same
// CRC. Over plain http it can change what is read just as well.
func (s *Store) SkipBodyHash(ctx context.Context, nonce string) error {
	if s.requests.unsigned.Load() {
		return nil
	}
	ctx = bucket.WithCause(ctx, bucket.CauseProbe)
	name := "probe/" + nonce + "/unsigned"
	if s.prefix != "" {
		name = s.prefix + "/" + name
	}
	body := []byte("zonewise: a body that no signature covers")
	err := s.requests.putObject(ctx, name, body, bodyGuard{crc32c([]byte("another body")), true})
	switch {
	case err == nil:
		return errors.Join(errors.New("skip the hash of bodies: this store does not compare a body with its checksum"), s.requests.deleteOne(ctx, name))
	case errors.Is(err, bucket.ErrDenied):
		return fmt.Errorf("skip the hash of bodies: %w", err)
	}
	err = s.requests.putObject(ctx, name, body, bodyGuard{crc32c(body), true})
	if err = errors.Join(err, s.requests.deleteOne(ctx, name)); err != nil {
		return fmt.Errorf("skip the hash of bodies: %w", err)
	}
	s.requests.unsigned.Store(true)
	return nil
}
