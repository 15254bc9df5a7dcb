package configs

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Checks that Kafka has as code, by their description.
const (
	gzipLevels        = "[1,...,9] or -1"
	throttledReplicas = "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
	offsetResets      = "[latest, earliest, by_duration:PnDTnHnMn.nS]"
	notNull           = "non-null string"
	listHasItems      = "non-empty list"
)

// Check returns a value in Kafka's stored form, and its error in Kafka's words, or
// "".
func (k *Key) Check(value string) (canonical, problem string) {
	v := strings.TrimSpace(value)
	switch k.Type {
	case kmsg.ConfigTypeBoolean:
		if v = strings.ToLower(v); v != "true" && v != "false" {
			return "", k.invalidValue(v, "Expected value to be either true or false")
		}
	case kmsg.ConfigTypeInt, kmsg.ConfigTypeLong, kmsg.ConfigTypeShort:
		n, err := strconv.ParseInt(v, 10, k.numberBits())
		if err != nil {
			return "", k.invalidValue(v, "Not a number of type "+strings.ToUpper(k.Type.String()))
		}
		if text := k.checkRange(float64(n)); text != "" {
			return "", k.invalidValue(v, text)
		}
		v = strconv.FormatInt(n, 10)
	case kmsg.ConfigTypeDouble:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(f) {
			return "", k.invalidValue(v, "Not a number of type DOUBLE")
		}
		if text := k.checkRange(f); text != "" {
			return "", k.invalidValue(v, text)
		}
		v = formatDouble(f)
	case kmsg.ConfigTypeList:
		return k.checkList(v)
	case kmsg.ConfigTypeClass:
		if k.Default == nil || v != *k.Default {
			return "", k.invalidValue(v, "Class "+v+" could not be found.")
		}
	default:
		if !k.Valid.allows(v) || k.Valid.Other == offsetResets && !isOffsetReset(v) {
			return "", k.invalidValue(v, k.describeChoices())
		}
	}
	return v, ""
}

func (k *Key) invalidValue(v, text string) string {
	return "Invalid value " + v + " for configuration " + k.Name + ": " + text
}

func (k *Key) numberBits() int {
	switch k.Type {
	case kmsg.ConfigTypeShort:
		return 16
	case kmsg.ConfigTypeInt:
		return 32
	}
	return 64
}

// checkRange returns how a number violates its range, or "".
func (k *Key) checkRange(n float64) string {
	switch r := &k.Valid; {
	case r.Other == gzipLevels && n != -1 && (n < 1 || n > 9):
		return "Value must be between 1 and 9 or equal to -1"
	case r.Min != nil && n < *r.Min:
		return "Value must be at least " + formatNumber(*r.Min)
	case r.Max != nil && n > *r.Max:
		return "Value must be no more than " + formatNumber(*r.Max)
	}
	return ""
}

func (k *Key) checkList(v string) (canonical, problem string) {
	items := SplitList(v)
	switch {
	case len(items) == 0 && k.Valid.NotEmpty:
		return "", "Configuration '" + k.Name + "' must not be empty. Valid values include: any non-empty value"
	case k.Valid.Distinct && hasDuplicates(items):
		return "", "Configuration '" + k.Name + "' values must not be duplicated."
	case k.Valid.Distinct && slices.Contains(items, ""):
		return "", "Configuration '" + k.Name + "' values must not be empty."
	case k.Valid.Other == throttledReplicas && !isReplicaList(items):
		return "", k.invalidValue("["+strings.Join(items, ", ")+"]", k.Name+" must be the literal '*' or a list of replicas in the form [partition]:[broker],[partition]:[broker]")
	}
	for _, item := range items {
		if !k.Valid.allows(item) {
			return "", k.invalidValue(item, k.describeChoices())
		}
	}
	return strings.Join(items, ","), ""
}

func (r *Rule) allows(v string) bool {
	return len(r.OneOf) == 0 || slices.ContainsFunc(r.OneOf, func(one string) bool { return one == v || r.AnyCase && strings.EqualFold(one, v) })
}

func (k *Key) describeChoices() string {
	switch {
	case k.Valid.Other == offsetResets:
		return "The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'"
	case k.Valid.AnyCase:
		return "String must be one of (case insensitive): " + strings.Join(k.Valid.OneOf, ", ")
	}
	return "String must be one of: " + strings.Join(k.Valid.OneOf, ", ")
}

// Allowed describes the valid values.
func (k *Key) Allowed() string {
	r := &k.Valid
	switch {
	case k.Type == kmsg.ConfigTypeBoolean:
		return "true or false"
	case len(r.OneOf) > 0:
		return "of " + strings.Join(r.OneOf, ", ")
	case r.Other == gzipLevels:
		return "1 to 9, or -1"
	case r.Other == throttledReplicas:
		return "partition:broker, or *"
	case r.Other == offsetResets:
		return "latest, earliest, or by_duration: with a duration"
	case r.Min != nil && r.Max != nil:
		return formatNumber(*r.Min) + " to " + formatNumber(*r.Max)
	case r.Min != nil:
		return "at least " + formatNumber(*r.Min)
	case slices.Contains([]kmsg.ConfigType{kmsg.ConfigTypeInt, kmsg.ConfigTypeLong, kmsg.ConfigTypeShort, kmsg.ConfigTypeDouble}, k.Type):
		return "any number"
	}
	return "any text"
}

// SplitList splits a config of type list. The empty string has no elements.
func SplitList(v string) []string {
	if v = strings.TrimSpace(v); v == "" {
		return nil
	}
	items := strings.Split(v, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

func hasDuplicates(items []string) bool {
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		if seen[item] {
			return true
		}
		seen[item] = true
	}
	return false
}

func isReplicaList(items []string) bool {
	pair := regexp.MustCompile(`^([0-9]+:[0-9]+)?$`)
	return len(items) == 1 && items[0] == "*" || !slices.ContainsFunc(items, func(item string) bool { return !pair.MatchString(item) })
}

func isOffsetReset(v string) bool {
	return v == "latest" || v == "earliest" || strings.HasPrefix(v, "by_duration:P")
}

func formatNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// formatDouble formats a number as Java does, if it is of ordinary size.
func formatDouble(f float64) string {
	if size := math.Abs(f); size != 0 && (size < 1e-3 || size >= 1e7) {
		text := strconv.FormatFloat(f, 'E', -1, 64)
		digits, exponent, _ := strings.Cut(text, "E")
		if !strings.Contains(digits, ".") {
			digits += ".0"
		}
		n, _ := strconv.Atoi(exponent) // FormatFloat wrote it
		return fmt.Sprintf("%sE%d", digits, n)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
