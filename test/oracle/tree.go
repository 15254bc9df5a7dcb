package oracle

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// node is one field of a response: a value, a structure, or a list.
type node struct {
	name  string
	value string // of a leaf
	list  bool
	items []node // fields of a structure, elements of a list
	leaf  bool
	// The number of a value that a rule maps by its value, not by its text.
	number int64
	isNum  bool
}

func leafNode(name, value string) node {
	n := node{name: name, value: value, leaf: true}
	if i, err := strconv.ParseInt(value, 10, 64); err == nil {
		n.number, n.isNum = i, true
	}
	return n
}

// treeOf reads a response's fields. Fields that the version does not have keep
// kmsg's defaults on both sides and do not differ.
func treeOf(resp kmsg.Response) node {
	return reflectNode("", reflect.ValueOf(resp).Elem())
}

func reflectNode(name string, v reflect.Value) node {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return node{name: name, value: "#null", leaf: true}
		}
		n := reflectNode(name, v.Elem())
		return n
	case reflect.Struct:
		n := node{name: name}
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			return leafNode(name, strconv.Itoa(tags.Len()))
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "Version" && name == "" || !f.IsExported() {
				continue
			}
			n.items = append(n.items, reflectNode(f.Name, v.Field(i)))
		}
		return n
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return bytesNode(name, v)
		}
		if v.IsNil() {
			return node{name: name, list: true, value: "#null"}
		}
		n := node{name: name, list: true}
		for i := range v.Len() {
			n.items = append(n.items, reflectNode("", v.Index(i)))
		}
		return n
	case reflect.Array:
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		return node{name: name, value: "hex:" + hex.EncodeToString(b), leaf: true}
	case reflect.String:
		return node{name: name, value: strconv.Quote(v.String()), leaf: true}
	case reflect.Bool:
		return node{name: name, value: strconv.FormatBool(v.Bool()), leaf: true}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return leafNode(name, strconv.FormatInt(v.Int(), 10))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return leafNode(name, strconv.FormatUint(v.Uint(), 10))
	}
	return node{name: name, value: fmt.Sprint(v.Interface()), leaf: true}
}

func bytesNode(name string, v reflect.Value) node {
	if name == "RecordBatches" {
		return readBatches(v.Bytes())
	}
	if v.IsNil() {
		return node{name: name, value: "#null", leaf: true}
	}
	return node{name: name, value: strconv.Quote(string(v.Bytes())), leaf: true}
}

// valueAt reads the value at a path such as Topics[0].Partitions[1].Offset of a
// response, for variables and for until.
func valueAt(resp kmsg.Response, path string) (any, error) {
	v := reflect.ValueOf(resp).Elem()
	for rest := path; rest != ""; {
		name, index, next, err := cutPath(rest)
		if err != nil {
			return nil, err
		}
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return nil, fmt.Errorf("%s is null", path)
			}
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return nil, fmt.Errorf("%s: not a structure", path)
		}
		if v = v.FieldByName(name); !v.IsValid() {
			return nil, fmt.Errorf("%s: no field %s", path, name)
		}
		for _, i := range index {
			if v.Kind() != reflect.Slice || i >= v.Len() {
				return nil, fmt.Errorf("%s: no element %d: %w", path, i, errUndefined)
			}
			v = v.Index(i)
		}
		rest = next
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, fmt.Errorf("%s is null: %w", path, errUndefined)
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Array:
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		return b, nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes(), nil
		}
		return int64(v.Len()), nil // the value of a list is its length
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	}
	return nil, fmt.Errorf("%s: not a value", path)
}

func cutPath(path string) (name string, index []int, rest string, err error) {
	end := len(path)
	for i := range path {
		if path[i] == '.' {
			end = i
			break
		}
	}
	part := path[:end]
	if end < len(path) {
		rest = path[end+1:]
	}
	for i := range part {
		if part[i] == '[' {
			name = part[:i]
			for _, digits := range splitIndex(part[i:]) {
				n, err := strconv.Atoi(digits)
				if err != nil {
					return "", nil, "", fmt.Errorf("path %s: %w", path, err)
				}
				index = append(index, n)
			}
			return name, index, rest, nil
		}
	}
	return part, nil, rest, nil
}

func splitIndex(s string) (out []string) {
	start := 0
	for i := range s {
		switch s[i] {
		case '[':
			start = i + 1
		case ']':
			out = append(out, s[start:i])
		}
	}
	return out
}
