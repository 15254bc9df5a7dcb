package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// settings of the test's command.
type settings struct {
	port   int
	linger time.Duration
	memory int64
	zones  []string
	fast   bool
}

func testProgram(out *settings, environ []string, stdout, stderr *bytes.Buffer) *Program {
	run := func(context.Context, Env) error { return nil }
	return &Program{Name: "zw", About: "A program.", Environ: environ, Stdout: stdout, Stderr: stderr, Commands: []Command{
		{Name: "serve", Short: "Serve", New: func(s *Set) func(context.Context, Env) error {
			s.Int(&out.port, "kafka-port", 9092, "PORT", "for clients")
			s.Duration(&out.linger, "linger", 100*time.Millisecond, "to gather")
			s.Bytes(&out.memory, "wal-memory", 64<<20, "at most")
			s.Strings(&out.zones, "zones", "ZONES", "of the cluster")
			s.Bool(&out.fast, "fast", false, "or not")
			return run
		}},
		{Name: "disk add", Short: "Add", Args: "NAME", MinArgs: 1, MaxArgs: 1, New: func(s *Set) func(context.Context, Env) error {
			var text string
			s.String(&text, "format", "text", "FORMAT", "of output")
			return func(_ context.Context, env Env) error {
				fmt.Fprint(env.Stdout, env.Args[0], " ", text)
				return nil
			}
		}},
		{Name: "disk remove", Short: "Remove", New: func(*Set) func(context.Context, Env) error {
			return func(context.Context, Env) error { return fmt.Errorf("remove disk: it is in use") }
		}},
		{Name: "disk check", Short: "Check", New: func(*Set) func(context.Context, Env) error {
			return func(context.Context, Env) error { return fmt.Errorf("check: %w", Exitf(3, "%d bad sectors", 7)) }
		}},
	}}
}

// call runs the program with a settings file of this text.
func call(t *testing.T, file string, environ []string, args ...string) (s settings, code int, stdout, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	if file != "" {
		path := filepath.Join(t.TempDir(), "zw.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	code = testProgram(&s, environ, &o, &e).Main(t.Context(), args)
	return s, code, o.String(), e.String()
}

func TestFlagsOutrankTheEnvironmentAndItTheFile(t *testing.T) {
	for _, c := range []struct {
		name string
		file string
		env  []string
		args []string
		want settings
	}{
		{"nothing", "", nil, nil, settings{9092, 100 * time.Millisecond, 64 << 20, nil, false}},
		{"file", "kafka-port: 1\nlinger: 2s\nwal-memory: 3MiB\nzones: [a, b]\nfast: true\n", nil, nil, settings{1, 2 * time.Second, 3 << 20, []string{"a", "b"}, true}},
		{"environment over file", "kafka-port: 1\nlinger: 2s\n", []string{"ZONEWISE_KAFKA_PORT=4", "PATH=/bin"}, nil, settings{4, 2 * time.Second, 64 << 20, nil, false}},
		{"flag over both", "kafka-port: 1\nfast: true\n", []string{"ZONEWISE_KAFKA_PORT=4", "ZONEWISE_FAST=true"}, []string{"--kafka-port", "5", "--fast=false"},
			settings{5, 100 * time.Millisecond, 64 << 20, nil, false}},
		{"lists with commas", "", []string{"ZONEWISE_ZONES=x, y"}, nil, settings{9092, 100 * time.Millisecond, 64 << 20, []string{"x", "y"}, false}},
		{"another command's variable", "", []string{"ZONEWISE_FORMAT=json"}, nil, settings{9092, 100 * time.Millisecond, 64 << 20, nil, false}},
		{"a default given on purpose", "kafka-port: 1\n", nil, []string{"--kafka-port=9092"}, settings{9092, 100 * time.Millisecond, 64 << 20, nil, false}},
		{"an empty file", "# nothing\n", nil, nil, settings{9092, 100 * time.Millisecond, 64 << 20, nil, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, code, _, stderr := call(t, c.file, c.env, append([]string{"serve"}, c.args...)...)
			if code != ExitOK || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("exit %d, %+v, want %+v\n%s", code, got, c.want, stderr)
			}
		})
	}
}

func TestTheFileMayBeNamedByTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zw.yaml")
	if err := os.WriteFile(path, []byte("kafka-port: 77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, code, _, stderr := call(t, "", []string{"ZONEWISE_CONFIG=" + path}, "serve"); code != 0 || s.port != 77 {
		t.Errorf("exit %d, port %d, %s", code, s.port, stderr)
	}
}

func TestWhatIsNotKnownIsAUsageErrorThatNamesTheNearest(t *testing.T) {
	for _, c := range []struct {
		name string
		file string
		env  []string
		args []string
		want []string
	}{
		{"flag", "", nil, []string{"serve", "--kafka-prot", "1"}, []string{"--kafka-prot", "did you mean --kafka-port?"}},
		{"flag of another command", "", nil, []string{"serve", "--format", "json"}, []string{"--format", "`zw disk add`"}},
		{"variable", "", []string{"ZONEWISE_KAFKA_PROT=1"}, []string{"serve"}, []string{"ZONEWISE_KAFKA_PROT", "did you mean ZONEWISE_KAFKA_PORT?"}},
		{"key", "kafkaport: 1\n", nil, []string{"serve"}, []string{"zw.yaml:1", "kafkaport", "did you mean kafka-port?"}},
		{"key of another command", "linger: 1s\nformat: json\n", nil, []string{"serve"}, []string{"zw.yaml:2", "format", "`zw disk add`"}},
		{"key far from any", "qqqqqqqqqqqqqq: 1\n", nil, []string{"serve"}, []string{"unknown key qqqqqqqqqqqqqq"}},
		{"command", "", nil, []string{"sevre"}, []string{`"sevre"`, "did you mean serve?"}},
		{"second word", "", nil, []string{"disk", "ad"}, []string{`"ad"`, "did you mean add?"}},
		{"no second word", "", nil, []string{"disk"}, []string{"add, remove"}},
		{"value of a flag", "", nil, []string{"serve", "--kafka-port", "many"}, []string{"--kafka-port", "many"}},
		{"value of a variable", "", []string{"ZONEWISE_LINGER=5"}, []string{"serve"}, []string{"ZONEWISE_LINGER", "5"}},
		{"value of a key", "wal-memory: 5 apples\n", nil, []string{"serve"}, []string{"zw.yaml:1", "wal-memory", "5 apples"}},
		{"nested key", "linger:\n  a: 1\n", nil, []string{"serve"}, []string{"linger", "one plain value"}},
		{"key twice", "linger: 1s\nlinger: 2s\n", nil, []string{"serve"}, []string{"linger"}},
		{"key without value", "linger:\n", nil, []string{"serve"}, []string{"linger", "no value"}},
		{"no mapping", "- a\n", nil, []string{"serve"}, []string{"flag-name: value"}},
		{"no file", "", nil, []string{"serve", "--config", "/nowhere.yaml"}, []string{"/nowhere.yaml"}},
		{"argument too many", "", nil, []string{"serve", "extra"}, []string{"extra"}},
		{"argument missing", "", nil, []string{"disk", "add"}, []string{"NAME"}},
		{"no command", "", nil, nil, []string{"no command"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, code, _, stderr := call(t, c.file, c.env, c.args...)
			if code != ExitUsage {
				t.Errorf("exit %d, want %d", code, ExitUsage)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q does not say %q", stderr, want)
				}
			}
		})
	}
}

func TestAFailureExitsWithOneAndArgumentsMayFollowFlags(t *testing.T) {
	if _, code, _, stderr := call(t, "", nil, "disk", "remove"); code != ExitFailure || !strings.Contains(stderr, "it is in use") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	for _, args := range [][]string{{"disk", "add", "d1", "--format", "json"}, {"disk", "add", "--format", "json", "d1"}, {"disk", "add", "--format=json", "--", "d1"}} {
		if _, code, out, stderr := call(t, "", nil, args...); code != ExitOK || out != "d1 json" {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, stderr)
		}
	}
}

func TestACommandMayHaveAnExitCodeOfItsOwn(t *testing.T) {
	if _, code, _, stderr := call(t, "", nil, "disk", "check"); code != 3 || stderr != "zw: check: 7 bad sectors\n" {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestHelpIsNoErrorAndListsEveryFlagWithItsDefault(t *testing.T) {
	for _, args := range [][]string{{"serve", "--help"}, {"help", "serve"}, {"serve", "-h"}} {
		_, code, out, stderr := call(t, "", nil, args...)
		if code != ExitOK || stderr != "" {
			t.Errorf("%v: exit %d, %q", args, code, stderr)
		}
		for _, want := range []string{"Usage: zw serve", "--kafka-port PORT", "(default 9092)", "(default 100ms)", "(default 64MiB)", "--config FILE"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: help lacks %q:\n%s", args, want, out)
			}
		}
	}
	for _, args := range [][]string{{"help"}, {"--help"}, {"disk", "--help"}, {"help", "disk"}} {
		if _, code, out, _ := call(t, "", nil, args...); code != ExitOK || !strings.Contains(out, "disk remove") {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
}

func TestSizesAreReadAndWrittenInTheLargestUnit(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "17": 17, "2KiB": 2048, "1536MiB": 1536 << 20, "3 GiB": 3 << 30, "5B": 5} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
		if back, err := ParseBytes(FormatBytes(want)); err != nil || back != want {
			t.Errorf("%d came back as %d, %v", want, back, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5MiB", "many", "9223372036854775807GiB", "1TB"} {
		if n, err := ParseBytes(text); err == nil {
			t.Errorf("%q is %d", text, n)
		}
	}
}

// What cannot be read says what is wanted, wherever it stands.
func TestValuesSayWhatTheyWant(t *testing.T) {
	for _, c := range []struct {
		args, environ []string
		want          string
	}{
		{[]string{"serve", "--linger", "5"}, nil, `invalid value "5" for flag --linger: no unit: want a duration such as 5ms, 5s or 5m`},
		{[]string{"serve", "--linger", "soon"}, nil, "want a duration such as 5ms, 2s or 1m30s"},
		{[]string{"serve", "--kafka-port", "ninety"}, nil, "want a whole number"},
		{[]string{"serve"}, []string{"ZONEWISE_LINGER=5"}, `variable ZONEWISE_LINGER: "5": no unit: want a duration such as 5ms, 5s or 5m`},
	} {
		var stdout, stderr bytes.Buffer
		code := testProgram(&settings{}, c.environ, &stdout, &stderr).Main(t.Context(), c.args)
		if code != ExitUsage || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%v with %v: exit %d, %q; want %q in it", c.args, c.environ, code, stderr.String(), c.want)
		}
	}
}
