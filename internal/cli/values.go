package cli

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The values below exist for their error messages: package flag says "parse
// error" of a number without its unit.

type durationValue time.Duration

func (d *durationValue) String() string { return time.Duration(*d).String() }
func (d *durationValue) Set(text string) error {
	v, err := time.ParseDuration(text)
	switch _, number := strconv.ParseFloat(text, 64); {
	case err == nil:
		*d = durationValue(v)
		return nil
	case number == nil:
		return fmt.Errorf("no unit: want a duration such as %sms, %ss or %sm", text, text, text)
	}
	return errors.New("want a duration such as 5ms, 2s or 1m30s")
}

type intValue int

func (i *intValue) String() string { return strconv.Itoa(int(*i)) }
func (i *intValue) Set(text string) error {
	v, err := strconv.Atoi(text)
	if err != nil {
		return errors.New("want a whole number")
	}
	*i = intValue(v)
	return nil
}

type int64Value int64

func (i *int64Value) String() string { return strconv.FormatInt(int64(*i), 10) }
func (i *int64Value) Set(text string) error {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return errors.New("want a whole number")
	}
	*i = int64Value(v)
	return nil
}

type floatValue float64

func (f *floatValue) String() string { return strconv.FormatFloat(float64(*f), 'f', -1, 64) }
func (f *floatValue) Set(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return errors.New("want a number")
	}
	*f = floatValue(v)
	return nil
}
