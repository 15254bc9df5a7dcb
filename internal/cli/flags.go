package cli

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Set declares the settings of one command.
type Set struct {
	fs    *flag.FlagSet
	flags []*setting
}

// setting is one declared flag.
type setting struct {
	name string
	unit string // what a value is: PORT, BYTES/s, DURATION; empty for switches
	def  string // as help shows it; empty: none
	help string
	list bool
}

func newSet() *Set {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return &Set{fs: fs}
}

func (s *Set) declareSetting(name, unit, def, help string) *setting {
	f := &setting{name: name, unit: unit, def: def, help: help}
	s.flags = append(s.flags, f)
	return f
}

// String declares a text.
func (s *Set) String(p *string, name, def, unit, help string) {
	s.fs.StringVar(p, name, def, help)
	s.declareSetting(name, unit, def, help)
}

// Int declares a whole number.
func (s *Set) Int(p *int, name string, def int, unit, help string) {
	*p = def
	s.fs.Var((*intValue)(p), name, help)
	s.declareSetting(name, unit, strconv.Itoa(def), help)
}

// Float declares a number.
func (s *Set) Float(p *float64, name string, def float64, unit, help string) {
	*p = def
	s.fs.Var((*floatValue)(p), name, help)
	s.declareSetting(name, unit, strconv.FormatFloat(def, 'f', -1, 64), help)
}

// Bool declares a switch: --name, or --name=false.
func (s *Set) Bool(p *bool, name string, def bool, help string) {
	s.fs.BoolVar(p, name, def, help)
	s.declareSetting(name, "", strconv.FormatBool(def), help)
}

// Duration declares a length of time, in Go's notation (100ms, 1m30s).
func (s *Set) Duration(p *time.Duration, name string, def time.Duration, help string) {
	*p = def
	s.fs.Var((*durationValue)(p), name, help)
	s.declareSetting(name, "DURATION", shortDuration(def), help)
}

// Bytes declares a size: a number of bytes, or with KiB, MiB or GiB. def 0
// with a note in help means "the component's own default".
func (s *Set) Bytes(p *int64, name string, def int64, help string) {
	*p = def
	s.fs.Var((*bytesValue)(p), name, help)
	s.declareSetting(name, "BYTES", FormatBytes(def), help)
}

// Strings declares a list, divided by commas; in YAML also a sequence.
func (s *Set) Strings(p *[]string, name, unit, help string) {
	s.fs.Var((*listValue)(p), name, help)
	s.declareSetting(name, unit, "", help).list = true
}

// Value is what a declared setting is set to, as text.
func (s *Set) Value(name string) string { return s.fs.Lookup(name).Value.String() }

func (s *Set) findSetting(name string) *setting {
	for _, f := range s.flags {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (s *Set) settingNames() []string {
	out := make([]string, len(s.flags))
	for i, f := range s.flags {
		out[i] = f.name
	}
	return out
}

type listValue []string

func (l *listValue) String() string { return strings.Join(*l, ",") }
func (l *listValue) Set(text string) error {
	*l = nil
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}

type bytesValue int64

func (b *bytesValue) String() string { return FormatBytes(int64(*b)) }
func (b *bytesValue) Set(text string) error {
	n, err := ParseBytes(text)
	*b = bytesValue(n)
	return err
}

// byteUnits are the units of sizes, the largest first.
func byteUnits() []struct {
	suffix string
	shift  uint
} {
	return []struct {
		suffix string
		shift  uint
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}
}

// ParseBytes reads a size: 1048576, 1024KiB, 1MiB.
func ParseBytes(text string) (int64, error) {
	number, shift := strings.TrimSuffix(text, "B"), uint(0)
	for _, u := range byteUnits() {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			number, shift = rest, u.shift
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is not a size: want a number of bytes, or one with KiB, MiB or GiB", text)
	}
	return n << shift, nil
}

// FormatBytes is the inverse of ParseBytes, in the largest unit that fits.
func FormatBytes(n int64) string {
	for _, u := range byteUnits() {
		if n >= 1<<u.shift && n%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d%s", n>>u.shift, u.suffix)
		}
	}
	return strconv.FormatInt(n, 10)
}

// shortDuration drops the zeros that Duration.String ends with (1h0m0s).
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Int64 declares a whole number that may pass 2^31.
func (s *Set) Int64(p *int64, name string, def int64, unit, help string) {
	*p = def
	s.fs.Var((*int64Value)(p), name, help)
	s.declareSetting(name, unit, strconv.FormatInt(def, 10), help)
}
