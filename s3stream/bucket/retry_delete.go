package bucket

import (
	"context"
	"errors"
	"fmt"
)

// Delete implements Bucket, a batch of PageNames after the other. Only what is
// not confirmed and may succeed is asked for again. Names that the store refuses
// do not stop the others; a batch of which it says nothing at all ends the call,
// since the next ones would only add to its load.
func (r retryingBucket) Delete(ctx context.Context, names ...string) (deleted []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := CheckNames(names); err != nil {
		return nil, err
	}
	var failures []DeleteFailure
	for at := 0; at < len(names); at += PageNames {
		batch := names[at:min(at+PageNames, len(names))]
		failed, silent := r.deleteBatch(ctx, batch)
		failures = append(failures, failed...)
		if silent == nil {
			continue
		}
		if len(batch) == len(names) {
			return nil, silent
		}
		failures = append(failures, listUnconfirmed(names[at+len(batch):], nil, fmt.Errorf("not sent: %w", silent))...)
		break
	}
	return DeleteResult(names, failures)
}

// deleteBatch deletes one batch and returns what failed, in the order of the batch.
// silent is the error of a store that neither deleted nor refused any of the names.
func (r retryingBucket) deleteBatch(ctx context.Context, batch []string) (failures []DeleteFailure, silent error) {
	left, tries := batch, 0
	failed := map[string]DeleteFailure{} // by name; the last failure of each
	err := r.runAttempts(ctx, OpDelete, batch[0], unknownSize, func(ctx context.Context) error {
		tries++
		deleted, err := r.b.Delete(ctx, left...)
		for _, name := range deleted {
			delete(failed, name)
		}
		var again []DeleteFailure
		for _, f := range listUnconfirmed(left, deleted, err) {
			failed[f.Name] = f
			if isRetriable(f.Err) {
				again = append(again, f)
			}
		}
		var partial *DeleteError
		if err != nil && !errors.As(err, &partial) {
			return err // of the whole request
		}
		left = namesOf(again)
		if len(again) == 0 {
			return nil
		}
		return &DeleteError{Of: len(batch), Failures: again}
	})
	if err != nil && len(left) == len(batch) {
		silent = err
	}
	if err != nil {
		r.explainGivenUp(ctx, left, failed, tries, err)
	}
	for _, name := range batch {
		if f, ok := failed[name]; ok {
			failures = append(failures, f)
		}
	}
	return failures, silent
}

// explainGivenUp says of the names that are left why they are not asked for again.
func (r retryingBucket) explainGivenUp(ctx context.Context, left []string, failed map[string]DeleteFailure, tries int, err error) {
	for _, name := range left {
		f := failed[name]
		f.Name = name
		if ctx.Err() != nil {
			f.Err = err
		} else if tries > 1 {
			f.Err = fmt.Errorf("gave up after %d attempts: %w", tries, f.Err)
		}
		failed[name] = f
	}
}
