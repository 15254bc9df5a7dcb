package oracle

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	dialTimeout      = 10 * time.Second
	responseTimeout  = 20 * time.Second // for one response, including joins of a new group
	maxResponseBytes = 128 << 20
	clientID         = "oracle"
)

// Target is one of the two compared brokers.
type Target struct {
	Name string
	Addr string
	// Versions are the advertised version ranges by API key.
	Versions map[int16][2]int16
	// Nodes are the ids of its brokers.
	Nodes map[int32]bool
}

// Discover requests a broker's API versions and metadata.
func Discover(ctx context.Context, name, addr string) (*Target, error) {
	t := &Target{Name: name, Addr: addr, Versions: map[int16][2]int16{}, Nodes: map[int32]bool{}}
	c := &connection{addr: addr}
	defer c.close()
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.SetVersion(3)
	versions.ClientSoftwareName, versions.ClientSoftwareVersion = clientID, "1"
	got, err := c.roundTrip(ctx, versions)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its versions: %w", name, err)
	}
	for _, k := range got.(*kmsg.ApiVersionsResponse).ApiKeys {
		t.Versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	meta := kmsg.NewPtrMetadataRequest()
	meta.SetVersion(9)
	meta.Topics = []kmsg.MetadataRequestTopic{}
	if got, err = c.roundTrip(ctx, meta); err != nil {
		return nil, fmt.Errorf("ask %s for its brokers: %w", name, err)
	}
	for _, b := range got.(*kmsg.MetadataResponse).Brokers {
		t.Nodes[b.NodeID] = true
	}
	return t, nil
}

// lowestNode is the lowest broker id, for requests that contain one.
func (t *Target) lowestNode() int64 {
	low := int64(-1)
	for id := range t.Nodes {
		if low < 0 || int64(id) < low {
			low = int64(id)
		}
	}
	return low
}

// connection is one socket of a scenario, opened when first used and again
// after the broker has closed it.
type connection struct {
	addr        string
	net         net.Conn
	correlation int32
	pending     kmsg.Request // of an async request
	exchange    Exchange     // its result so far
}

func (c *connection) close() {
	if c.net != nil {
		_ = c.net.Close() // nothing is left to lose
		c.net = nil
	}
	c.pending = nil
}

func (c *connection) ensureOpen(ctx context.Context) error {
	if c.net != nil {
		return nil
	}
	d := net.Dialer{Timeout: dialTimeout}
	var err error
	c.net, err = d.DialContext(ctx, "tcp", c.addr)
	return err
}

// frameRequest builds a request with its header. version is the one in the header,
// which a raw request may choose freely.
func (c *connection) frameRequest(key, version int16, flexible bool, body []byte) []byte {
	c.correlation++
	b := make([]byte, 4, 32+len(body))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(c.correlation))
	b = binary.BigEndian.AppendUint16(b, uint16(len(clientID)))
	b = append(b, clientID...)
	if flexible {
		b = append(b, 0)
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func (c *connection) sendFrame(ctx context.Context, frame []byte) error {
	if err := c.ensureOpen(ctx); err != nil {
		return err
	}
	if err := c.net.SetDeadline(time.Now().Add(responseTimeout)); err != nil {
		return err
	}
	_, err := c.net.Write(frame)
	return err
}

// readResponse reads one response's body, after the correlation id.
func (c *connection) readResponse() ([]byte, error) {
	if c.net == nil {
		return nil, io.EOF
	}
	var head [8]byte
	if _, err := io.ReadFull(c.net, head[:]); err != nil {
		return nil, err
	}
	size := int32(binary.BigEndian.Uint32(head[:]))
	if size < 4 || size > maxResponseBytes {
		return nil, fmt.Errorf("answer of %d bytes", size)
	}
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != c.correlation {
		return nil, fmt.Errorf("answer to request %d, not %d", got, c.correlation)
	}
	body := make([]byte, size-4)
	_, err := io.ReadFull(c.net, body)
	return body, err
}

// roundTrip sends a request and returns the decoded response.
func (c *connection) roundTrip(ctx context.Context, q kmsg.Request) (kmsg.Response, error) {
	if err := c.sendFrame(ctx, c.frameRequest(q.Key(), q.GetVersion(), q.IsFlexible(), q.AppendTo(nil))); err != nil {
		return nil, err
	}
	body, err := c.readResponse()
	if err != nil {
		return nil, err
	}
	resp, _, err := decodeResponse(q.ResponseKind(), q.Key(), q.IsFlexible(), body)
	return resp, err
}

var errHeader = errors.New("answer's header cannot be read")

// decodeResponse decodes a response's body. canonical reports that encoding the result
// gives the same bytes: no trailing bytes, no unexpected tag.
func decodeResponse(resp kmsg.Response, key int16, flexible bool, body []byte) (_ kmsg.Response, canonical bool, err error) {
	if flexible && key != 18 { // ApiVersions always responds with header 0
		if len(body) < 1 || body[0] != 0 {
			return nil, false, errHeader
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, false, fmt.Errorf("decode answer: %w", err)
	}
	return resp, string(resp.AppendTo(nil)) == string(body), nil
}
