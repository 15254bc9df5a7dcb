package bucket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// DeleteFailure is one name whose deletion is not confirmed.
type DeleteFailure struct {
	Name string
	// Code is the store's for this name, such as AccessDenied or SlowDown; "" where
	// it gave none.
	Code string
	// Err wraps ErrBusy, ErrDenied, the context's error, or none of these.
	Err error
}

// isRetriable reports whether the same request may succeed when it is made again.
func isRetriable(err error) bool {
	return errors.Is(err, ErrBusy) || errors.Is(err, context.DeadlineExceeded)
}

// DeleteError names what a Delete of several names could not delete. It is each
// of its failures: errors.Is(err, ErrDenied) holds when one of them was denied.
type DeleteError struct {
	Of       int             // names in the call
	Failures []DeleteFailure // at least one, in the order of the call's names
}

// Error says how many names failed with which codes, and the first failure.
func (e *DeleteError) Error() string {
	byCode := map[string]int{}
	for _, f := range e.Failures {
		byCode[f.Code]++
	}
	counts := make([]string, 0, len(byCode))
	for _, code := range slices.Sorted(maps.Keys(byCode)) {
		count := fmt.Sprint("no code ", byCode[code])
		if code != "" {
			count = fmt.Sprint(code, " ", byCode[code])
		}
		counts = append(counts, count)
	}
	first := e.Failures[0]
	return fmt.Sprintf("%d of %d names were not deleted (%s), first %q: %v",
		len(e.Failures), e.Of, strings.Join(counts, ", "), first.Name, first.Err)
}

// Unwrap returns the errors of all failures.
func (e *DeleteError) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f.Err
	}
	return errs
}

// DeleteResult is what a Delete of names returns when all but the failures are
// confirmed. The failures are in the order of names.
func DeleteResult(names []string, failures []DeleteFailure) (deleted []string, err error) {
	if len(failures) == 0 {
		return slices.Clone(names), nil
	}
	failed := make(map[string]bool, len(failures))
	for _, f := range failures {
		failed[f.Name] = true
	}
	for _, name := range names {
		if !failed[name] {
			deleted = append(deleted, name)
		}
	}
	return deleted, &DeleteError{Of: len(names), Failures: failures}
}

// keepConfirmed returns what a Delete returns after err: nothing is confirmed where
// the answer was lost.
func keepConfirmed(deleted []string, err error) ([]string, error) {
	var partial *DeleteError
	if err != nil && !errors.As(err, &partial) {
		return nil, err
	}
	return deleted, err
}

// listUnconfirmed returns a failure for each of names that a Delete of them, which
// returned deleted and err, has not confirmed.
func listUnconfirmed(names, deleted []string, err error) []DeleteFailure {
	confirmed := make(map[string]bool, len(deleted))
	for _, name := range deleted {
		confirmed[name] = true
	}
	reasons := map[string]DeleteFailure{}
	var partial *DeleteError
	if errors.As(err, &partial) {
		for _, f := range partial.Failures {
			reasons[f.Name] = f
		}
	} else if err == nil {
		err = fmt.Errorf("%w: its deletion was not reported", ErrBusy)
	}
	var failures []DeleteFailure
	for _, name := range names {
		if confirmed[name] {
			continue
		}
		f, known := reasons[name]
		if !known {
			f = DeleteFailure{Name: name, Code: findCode(err), Err: err}
		}
		failures = append(failures, f)
	}
	return failures
}

// findCode returns the store's code in an error of a whole request.
func findCode(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return ""
}

func namesOf(failures []DeleteFailure) []string {
	names := make([]string, len(failures))
	for i, f := range failures {
		names[i] = f.Name
	}
	return names
}
