package oracle

import (
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.yaml.in/yaml/v3"
)

// errUndefined: a step uses a variable that no earlier step has set. If this happens
// at both brokers the scenario is wrong; at one of them, it is a difference.
var errUndefined = errors.New("variable is not set")

// variables are the variables of one scenario at one broker.
type variables map[string]any // int64, string, []byte, bool

var variable = regexp.MustCompile(`\$\{[a-zA-Z][\w.]*\}|\$[a-zA-Z][\w.]*`)
var arithmetic = regexp.MustCompile(`^(\$\{?[a-zA-Z][\w.]*\}?)([+-]\d+)$`)

// lookup finds the longest defined name that a reference begins with, and returns
// the rest of the reference.
func (v variables) lookup(ref string) (value any, rest string, err error) {
	if name, ok := strings.CutPrefix(ref, "${"); ok {
		name = strings.TrimSuffix(name, "}")
		value, ok := v[name]
		if !ok {
			return nil, "", fmt.Errorf("$%s: %w", name, errUndefined)
		}
		return value, "", nil
	}
	for name := ref[1:]; name != ""; {
		if value, ok := v[name]; ok {
			return value, ref[1+len(name):], nil
		}
		i := strings.LastIndex(name, ".")
		if i < 0 {
			break
		}
		name = name[:i]
	}
	return nil, "", fmt.Errorf("%s: %w", ref, errUndefined)
}

// expand replaces variables in a scalar. A scalar that is one variable keeps
// the variable's type; $n+1 adds.
func (v variables) expand(text string) (any, error) {
	if m := arithmetic.FindStringSubmatch(text); m != nil {
		value, rest, err := v.lookup(m[1])
		if n, ok := value.(int64); err == nil && ok && rest == "" {
			add, err := strconv.ParseInt(m[2], 10, 64)
			return n + add, err
		}
	}
	if variable.FindString(text) == text && text != "" {
		value, rest, err := v.lookup(text)
		if err != nil || rest == "" {
			return value, err
		}
	}
	var bad error
	out := variable.ReplaceAllStringFunc(text, func(ref string) string {
		value, rest, err := v.lookup(ref)
		if err != nil {
			bad = err
		}
		return fmt.Sprint(value) + rest
	})
	return out, bad
}

// defaulter is implemented by every struct of kmsg.
type defaulter interface{ Default() }

func elementType(q any) reflect.Type { return reflect.TypeOf(q).Elem() }

// checkFields reports names in a body that the type does not have.
func checkFields(t reflect.Type, n *yaml.Node) error {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		if t.Kind() == reflect.Slice {
			if n.Kind != yaml.SequenceNode {
				return nil
			}
			for _, item := range n.Content {
				if err := checkFields(t.Elem(), item); err != nil {
					return err
				}
			}
			return nil
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f, ok := t.FieldByName(n.Content[i].Value)
		if !ok {
			return fmt.Errorf("%s has no field %s", t.Name(), n.Content[i].Value)
		}
		if err := checkFields(f.Type, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// fillValue sets a kmsg value from a scenario's text.
func fillValue(into reflect.Value, n *yaml.Node, v variables) error {
	switch into.Kind() {
	case reflect.Pointer:
		if isNull(n) {
			into.SetZero()
			return nil
		}
		p := reflect.New(into.Type().Elem())
		setDefault(p)
		into.Set(p)
		return fillValue(p.Elem(), n, v)
	case reflect.Struct:
		if n.Kind != yaml.MappingNode {
			return fmt.Errorf("want fields of %s, have %q", into.Type().Name(), n.Value)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			if err := fillValue(into.FieldByName(name), n.Content[i+1], v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	case reflect.Slice:
		return fillSlice(into, n, v)
	}
	return fillScalar(into, n, v)
}

func fillSlice(into reflect.Value, n *yaml.Node, v variables) error {
	if isNull(n) {
		into.SetZero()
		return nil
	}
	if into.Type().Elem().Kind() == reflect.Uint8 {
		b, err := parseBytes(n, v)
		if err == nil {
			into.SetBytes(b)
		}
		return err
	}
	if n.Kind != yaml.SequenceNode {
		return fmt.Errorf("want a list, have %q", n.Value)
	}
	out := reflect.MakeSlice(into.Type(), 0, len(n.Content))
	for _, item := range n.Content {
		one := reflect.New(into.Type().Elem())
		setDefault(one)
		if err := fillValue(one.Elem(), item, v); err != nil {
			return err
		}
		out = reflect.Append(out, one.Elem())
	}
	into.Set(out)
	return nil
}

func setDefault(p reflect.Value) {
	if d, ok := p.Interface().(defaulter); ok {
		d.Default()
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// parseBytes reads bytes: a text, hex:..., a batch's fields, the metadata that
// consumers of the classic protocol exchange, or a list of these.
func parseBytes(n *yaml.Node, v variables) ([]byte, error) {
	switch n.Kind {
	case yaml.MappingNode:
		if len(n.Content) == 2 {
			if e := exchanged(n.Content[0].Value); e != nil {
				err := fillValue(reflect.ValueOf(e).Elem(), n.Content[1], v)
				return e.AppendTo(nil), err
			}
		}
		return buildBatch(n, v)
	case yaml.SequenceNode:
		all := []byte{}
		for _, item := range n.Content {
			b, err := parseBytes(item, v)
			if err != nil {
				return nil, err
			}
			all = append(all, b...)
		}
		return all, nil
	}
	value, err := v.expand(n.Value)
	if err != nil {
		return nil, err
	}
	if b, ok := value.([]byte); ok {
		return b, nil
	}
	text := fmt.Sprint(value)
	if digits, ok := strings.CutPrefix(text, "hex:"); ok {
		return hex.DecodeString(digits)
	}
	return []byte(text), nil
}

// exchanged returns the metadata type with which consumers of the classic protocol
// communicate, in bytes that the broker passes on; nil for another name.
func exchanged(name string) interface{ AppendTo([]byte) []byte } {
	switch name {
	case "ConsumerMemberMetadata":
		return new(kmsg.ConsumerMemberMetadata)
	case "ConsumerMemberAssignment":
		return new(kmsg.ConsumerMemberAssignment)
	}
	return nil
}

func fillScalar(into reflect.Value, n *yaml.Node, v variables) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("want a value")
	}
	value, err := v.expand(n.Value)
	if err != nil {
		return err
	}
	text := fmt.Sprint(value)
	switch into.Kind() {
	case reflect.String:
		into.SetString(expandRepeat(text))
	case reflect.Bool:
		into.SetBool(text == "true")
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		into.SetFloat(f)
	case reflect.Array: // a UUID
		b, ok := value.([]byte)
		if !ok {
			if b, err = hex.DecodeString(strings.TrimPrefix(text, "hex:")); err != nil {
				return fmt.Errorf("read uuid: %w", err)
			}
		}
		reflect.Copy(into, reflect.ValueOf(b))
	case reflect.Uint16:
		u, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return err
		}
		into.SetUint(u)
	default:
		i, err := strconv.ParseInt(text, 10, into.Type().Bits())
		if err != nil {
			return err
		}
		into.SetInt(i)
	}
	return nil
}

var repeatPattern = regexp.MustCompile(`^(.)\*(\d{1,8})$`)

// expandRepeat expands long texts: x*1000 is a thousand x.
func expandRepeat(text string) string {
	if m := repeatPattern.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[2])
		if err == nil {
			return strings.Repeat(m[1], n)
		}
	}
	return text
}
