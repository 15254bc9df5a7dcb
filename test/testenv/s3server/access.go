package s3server

import (
	"os"
	"strconv"
	"strings"
)

// Request is a line of the access log: a request as the server recorded it.
type Request struct {
	Operation string // "PutObject", "GetObject", "ListObjectsV2", "DeleteObject", "DeleteObjects", ...
	Key       string // "" if it has none
	Status    int    // as logged: a range and a deletion are 200 here
}

// Requests reads the access log so far. A request is logged when it has been
// answered; one that the server did not answer before it ended is not in it.
func (s *Server) Requests() []Request {
	s.t.Helper()
	content, err := os.ReadFile(s.AccessLog)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		s.t.Fatalf("read access log: %v", err)
	}
	var out []Request
	for line := range strings.Lines(string(content)) {
		if request, ok := parseLine(line); ok {
			out = append(out, request)
		}
	}
	return out
}

// parseLine reads a line of Amazon's server access log format:
//
//	owner bucket [day zone] address requester request-id s3_Operation key uri status ...
//
// A key with a space in it is cut at the space.
func parseLine(line string) (Request, bool) {
	_, rest, found := strings.Cut(line, " s3_")
	fields := strings.Fields(rest)
	if !found || len(fields) < 4 {
		return Request{}, false
	}
	request := Request{Operation: fields[0]}
	if fields[1] != "-" {
		request.Key = fields[1]
	}
	for _, field := range fields[2:] { // the first number of three digits is the status
		status, err := strconv.Atoi(strings.Trim(field, `"`))
		if err == nil && len(field) == 3 {
			request.Status = status
			return request, true
		}
	}
	return Request{}, false
}
