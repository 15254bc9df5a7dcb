package costkeys

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Stored numbers and names do not change: ledgers, price books and clients of
// the API hold them.
func TestNumbersAndNamesAreStable(t *testing.T) {
	want := []string{
		"", "bytes_in", "records_in", "s3_put", "put_hedge", "storage", "inline", "etcd", "platform_put", "platform_get",
		"platform_list", "s3_delete", "s3_get", "bytes_out", "produce", "produce_resp", "fetch", "fetch_resp", "group",
		"control", "peer", "cache_saved", "storage_deleted", "platform_storage",
	}
	for c := range ComponentEnd {
		if int(c) < len(want) && c.String() != want[c] {
			t.Errorf("component %d is %s, want %s", c, c, want[c])
		}
	}
	if int(ComponentEnd) < len(want) {
		t.Errorf("%d components, there were %d", ComponentEnd-1, len(want)-1)
	}
	if got := fmt.Sprint(Rows()); got != "[__platform__ __control__ __other__ __unallocated__]" || RowPlatform != 1 || RowControl != 2 || RowOther != 3 {
		t.Errorf("reserved rows are %s", got)
	}
}

// Every stored number has exactly one row of the table, with a name of its own,
// a unit, and what its kind needs.
func TestEveryComponentIsDescribedOnce(t *testing.T) {
	numbers, names := map[Component]int{}, map[string]int{}
	for _, info := range Components() {
		numbers[info.Component]++
		names[info.Name]++
		if info.Name == "" || info.Label == "" || info.Unit == "" || info.Kind == 0 {
			t.Errorf("%+v is incomplete", info)
		}
		if (info.Kind == KindMeter) != slices.Contains(RequiredMeters(), info.Meter) {
			t.Errorf("%s has meter %q: every price book must have the meter of a component", info.Name, info.Meter)
		}
		if (info.Kind == KindFree) != (info.Category == CategoryFree) || info.Category > CategoryFree {
			t.Errorf("%s has kind %d and category %d", info.Name, info.Kind, info.Category)
		}
		if strings.ContainsAny(info.Name, " ,\"") || RowOf(info.Name) != 0 {
			t.Errorf("%q is no name for the API", info.Name)
		}
	}
	for c := Component(1); c.Valid(); c++ {
		if numbers[c] != 1 || names[c.String()] != 1 {
			t.Errorf("component %d has %d rows, its name %s is used %d times", c, numbers[c], c, names[c.String()])
		}
	}
	if len(numbers) != int(ComponentEnd)-1 {
		t.Errorf("%d components are described, %d have a number", len(numbers), ComponentEnd-1)
	}
}

func TestRequestsDoNotOverflow(t *testing.T) {
	if got := Requests(1 << 40).String(); got != "1099511627776000000000" {
		t.Errorf("2^40 requests are %s nano-requests", got)
	}
}
