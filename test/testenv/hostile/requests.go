// Package hostile builds requests that are as expensive as Kafka's protocol allows,
// for tests of how much one client can disturb others.
package hostile

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Requests builds the most expensive requests of an API: for every array one request
// with so many elements that it has about the given number of bytes. name returns
// the names in the elements.
func Requests(key, version int16, bytes int, name func(i int) string) (out []kmsg.Request, what []string) {
	var arrays func(t reflect.Type, path []int) [][]int
	arrays = func(t reflect.Type, path []int) (all [][]int) {
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() || f.Type.Kind() != reflect.Slice || f.Type.Elem().Kind() == reflect.Uint8 {
				continue
			}
			here := append(append([]int{}, path...), i)
			all = append(all, here)
			if f.Type.Elem().Kind() == reflect.Struct {
				all = append(all, arrays(f.Type.Elem(), here)...)
			}
		}
		return all
	}
	for _, path := range arrays(reflect.TypeOf(kmsg.RequestForKey(key)).Elem(), nil) {
		size := func(n int) (kmsg.Request, int) {
			q := kmsg.RequestForKey(key)
			if d, ok := q.(interface{ Default() }); ok {
				d.Default()
			}
			q.SetVersion(version)
			v := reflect.ValueOf(q).Elem()
			for depth, i := range path {
				k := 1
				if depth == len(path)-1 {
					k = n
				}
				f := v.Field(i)
				f.Set(reflect.MakeSlice(f.Type(), k, k))
				for j := range k {
					setNames(f.Index(j), j, name)
				}
				if k > 0 && f.Type().Elem().Kind() == reflect.Struct {
					v = f.Index(0)
				}
			}
			return q, len(q.AppendTo(nil))
		}
		_, none := size(0)
		_, some := size(100)
		if some-none < 100 {
			continue // not in this version
		}
		n := min((bytes-none)*100/(some-none), 1_000_000)
		q, got := size(n)
		for got > bytes { // later names are longer
			n = n * bytes / got * 99 / 100
			q, got = size(n)
		}
		out = append(out, q)
		t := reflect.TypeOf(q).Elem()
		text := ""
		for _, i := range path {
			f := t.Field(i)
			text += "." + f.Name
			if t = f.Type.Elem(); t.Kind() != reflect.Struct {
				break
			}
		}
		what = append(what, text)
	}
	return out, what
}

// setNames gives an element of an array names and small numbers.
func setNames(v reflect.Value, n int, name func(int) string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(name(n))
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.String {
			s := name(n)
			v.Set(reflect.ValueOf(&s))
		}
	case reflect.Struct:
		if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
			d.Default()
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "UnknownTags" && f.Type.Kind() != reflect.Struct {
				setNames(v.Field(i), n, name)
			}
		}
		if f := v.FieldByName("ResourceType"); f.IsValid() {
			f.SetInt(int64(kmsg.ConfigResourceTypeTopic))
		}
	}
}
