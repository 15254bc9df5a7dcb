package oracle

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Document writes the generated parts of docs/compatibility.md.
type Document struct {
	Kafka, Zonewise *Target
	Allowed         []Allowed
	Coverage        Coverage
}

// APIs is the table of APIs: what each broker advertises, what was compared,
// and by which scenarios.
func (d *Document) APIs() string {
	keys := map[int16]bool{}
	for key := range d.Kafka.Versions {
		keys[key] = true
	}
	for key := range d.Zonewise.Versions {
		keys[key] = true
	}
	var b strings.Builder
	b.WriteString("| key | API | Kafka 4.4 | zonewise | status | versions compared | answers compared | scenarios |\n|---|---|---|---|---|---|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		name := kmsg.NameForKey(key)
		k, inKafka := d.Kafka.Versions[key]
		z, served := d.Zonewise.Versions[key]
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %d | %s |\n", key, name, formatRange(k, inKafka), formatRange(z, served), d.apiStatus(name, k, z, inKafka, served),
			d.comparedVersions(name), d.countAnswers(name), d.scenarioNames(name))
	}
	return b.String()
}

func formatRange(r [2]int16, ok bool) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%d-%d", r[0], r[1])
}

func (d *Document) apiStatus(name string, k, z [2]int16, inKafka, served bool) string {
	different := 0
	for v, n := range d.Coverage.Different {
		if v.API == name {
			different += n
		}
	}
	switch {
	case !served:
		return "absent"
	case different > 0:
		return fmt.Sprintf("%d unexplained differences", different)
	case d.countAnswers(name) == 0:
		return "served, not compared"
	case !inKafka:
		return "served, not in Kafka 4.4"
	case k == z:
		return "the same versions, no unexplained difference"
	}
	return "other versions, no unexplained difference"
}

func (d *Document) countAnswers(name string) (n int) {
	for v, count := range d.Coverage.Answers {
		if v.API == name {
			n += count
		}
	}
	return n
}

// comparedVersions lists versions, consecutive ones as from-to.
func (d *Document) comparedVersions(name string) string {
	var versions []int
	for v := range d.Coverage.Answers {
		if v.API == name {
			versions = append(versions, int(v.Version))
		}
	}
	slices.Sort(versions)
	var parts []string
	for i := 0; i < len(versions); {
		j := i
		for j+1 < len(versions) && versions[j+1] == versions[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(versions[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", versions[i], versions[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// scenarioNames lists the scenario files about the API by their common prefixes;
// those that only use it are counted.
func (d *Document) scenarioNames(name string) string {
	var files []string
	for file := range d.Coverage.Scenarios[name] {
		if !strings.HasPrefix(file, "seed-") {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	const shown = 3
	if len(files) <= shown {
		return strings.Join(files, ", ")
	}
	return strings.Join(files[:shown], ", ") + fmt.Sprintf(" and %d more", len(files)-shown)
}

// Differences is the list of allowed differences, with the count of each.
func (d *Document) Differences() string {
	type line struct {
		*Allowed
		used int
	}
	var lines []line
	for i := range d.Allowed {
		lines = append(lines, line{&d.Allowed[i], d.Coverage.Used[i]})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.API, b.API) })
	var b strings.Builder
	b.WriteString("| API | field | condition | reason | the client that met it | met |\n|---|---|---|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %d |\n", l.API, l.Field, l.describeCondition(), escape(strings.TrimSpace(l.Reason)), escape(strings.TrimSpace(l.Client)), l.used)
	}
	return b.String()
}

func (a *Allowed) describeCondition() string {
	var parts []string
	add := func(what, pattern string) {
		if pattern != "" {
			parts = append(parts, what+" `"+escape(pattern)+"`")
		}
	}
	add("versions", a.Versions)
	add("of", a.Element)
	add("Kafka", a.Kafka)
	add("zonewise", a.Zonewise)
	add("request", a.Request)
	return strings.Join(parts, ", ")
}

func escape(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// Rules is the table of fields that are mapped before the comparison.
func Rules() string {
	var b strings.Builder
	b.WriteString("| API | field | why it is mapped before it is compared |\n|---|---|---|\n")
	for _, r := range ruleTable() {
		name := r.api
		if name == "" {
			name = "all"
		}
		field := strings.TrimSuffix(strings.TrimPrefix(r.field.String(), `(^|\.)(`), ")$")
		fmt.Fprintf(&b, "| %s | %s | %s |\n", escape(name), strings.ReplaceAll(field, "|", ", "), r.Reason)
	}
	return b.String()
}
