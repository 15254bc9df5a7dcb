package broker

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// configKey is one config as DescribeConfigs reports it and alterations check
// it: name, type, Kafka's default value, and who else sets it.
type configKey struct {
	name     string
	kind     kmsg.ConfigType
	fallback string   // Kafka's default; "" with null set: null
	null     bool     // the default is null
	synonym  string   // broker config of the same meaning, or ""
	derived  bool     // Kafka's default has no synonym: it derives from others
	min, max int64    // of numbers
	except   []int64  // numbers between that are not allowed
	oneOf    []string // of strings and lists; nil: anything
	readOnly bool     // of broker configs
	quiet    bool     // reported only when set (zonewise.*)
	use      configUse
	doc      string // what it means here
	// valid says what else is wrong with a value, or ""; nil: nothing.
	valid func(string) string
}

// configUse says what becomes of a config that is set.
type configUse uint8

const (
	useWorks  configUse = iota // does what Kafka's does
	useStored                  // stored and reported; not enforced by this version
	useInert                   // stored and reported; has no meaning here
)

// String names the use in documentation.
func (u configUse) String() string {
	switch u {
	case useStored:
		return "stored, not enforced yet"
	case useInert:
		return "stored, no meaning here"
	}
	return "works"
}

const (
	kBool   = kmsg.ConfigTypeBoolean
	kString = kmsg.ConfigTypeString
	kInt    = kmsg.ConfigTypeInt
	kLong   = kmsg.ConfigTypeLong
	kDouble = kmsg.ConfigTypeDouble
	kList   = kmsg.ConfigTypeList
)

// Ends of ranges.
const (
	anyInt  = math.MaxInt32
	anyLong = math.MaxInt64
)

func findConfig(table []configKey, name string) (configKey, bool) {
	for _, k := range table {
		if k.name == name {
			return k, true
		}
	}
	return configKey{}, false
}

// check returns a value as Kafka would read it back, and says what is wrong
// with it, or "".
func (k *configKey) check(v string) (canonical, problem string) {
	v = strings.TrimSpace(v)
	bad := func(format string, args ...any) (string, string) {
		return "", fmt.Sprintf("Invalid value %s for configuration %s: ", v, k.name) + fmt.Sprintf(format, args...)
	}
	switch k.kind {
	case kBool:
		if v = strings.ToLower(v); v != "true" && v != "false" {
			return bad("it must be true or false")
		}
	case kInt, kLong:
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil || k.kind == kInt && (n < math.MinInt32 || n > math.MaxInt32):
			return bad("not a number of type %s", strings.ToLower(k.kind.String()))
		case n < k.min || n > k.max || slices.Contains(k.except, n):
			return bad("it must be %s", k.allowed())
		}
		v = strconv.FormatInt(n, 10)
	case kDouble:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !(f >= float64(k.min) && f <= float64(k.max)) {
			return bad("it must be %s", k.allowed())
		}
		if v = strconv.FormatFloat(f, 'f', -1, 64); !strings.Contains(v, ".") {
			v += ".0" // as Java writes it
		}
	case kList, kString:
		parts := []string{v}
		if k.kind == kList {
			parts = splitList(v)
			v = strings.Join(parts, ",")
		}
		for _, part := range parts {
			if k.oneOf != nil && !slices.Contains(k.oneOf, part) {
				return bad("it must be %s", k.allowed())
			}
		}
	}
	if k.valid != nil {
		if text := k.valid(v); text != "" {
			return bad("%s", text)
		}
	}
	return v, ""
}

// allowed says in words what values are.
func (k *configKey) allowed() string {
	switch k.kind {
	case kBool:
		return "true or false"
	case kString, kList:
		if k.oneOf == nil {
			return "any text"
		}
		return "of " + strings.Join(k.oneOf, ", ")
	}
	text := fmt.Sprintf("%d to %d", k.min, k.max)
	switch {
	case k.min == math.MinInt64:
		text = "any number"
	case k.kind == kLong && k.max == anyLong, k.kind == kInt && k.max == anyInt:
		text = fmt.Sprintf("at least %d", k.min)
	}
	for _, n := range k.except {
		text += fmt.Sprintf(", not %d", n)
	}
	return text
}

// splitList reads a config of type list.
func splitList(v string) []string {
	var out []string
	for _, p := range strings.Split(v, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}
