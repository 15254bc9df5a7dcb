package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// EnvPrefix begins the name of every variable that is a setting.
const EnvPrefix = "ZONEWISE_"

// configFlag names the YAML file, on every command with settings.
const configFlag = "config"

// maxConfigBytes bounds the file: settings are a few KiB.
const maxConfigBytes = 1 << 20

// EnvName is the variable of a setting: kafka-port is ZONEWISE_KAFKA_PORT.
func EnvName(flagName string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// loader fills a Set from its three sources.
type loader struct {
	set     *Set
	command string
	environ []string
	// known has the settings of all commands: a variable for another
	// command is no error of this one.
	known map[string][]string // setting to commands
}

// loadSettings reads flags, then what they left open from the environment, then from
// the file. It returns the arguments that are no flags.
func (l *loader) loadSettings(args []string) (rest []string, err error) {
	var file string
	l.set.fs.StringVar(&file, configFlag, "", "")
	if rest, err = l.parseFlags(args); err != nil {
		return nil, err
	}
	given := map[string]bool{}
	l.set.fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err := l.loadEnvironment(given); err != nil {
		return nil, err
	}
	if file != "" {
		if err := l.loadFile(file, given); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// parseFlags accepts flags and arguments in any order, up to a "--".
func (l *loader) parseFlags(args []string) (rest []string, err error) {
	for {
		if err := l.set.fs.Parse(args); err != nil {
			return nil, l.flagError(args, err)
		}
		left := l.set.fs.Args()
		if parsed := args[:len(args)-len(left)]; len(left) == 0 || len(parsed) > 0 && parsed[len(parsed)-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// flagError turns the flag package's words into ours.
func (l *loader) flagError(args []string, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	const unknown = "flag provided but not defined: -"
	name, ok := strings.CutPrefix(err.Error(), unknown)
	if !ok {
		return Usagef("%s", strings.Replace(err.Error(), "flag -", "flag --", 1))
	}
	return Usagef("unknown flag --%s of `%s`%s%s", name, l.command, l.otherCommandHint(name), didYouMean(name, "--", l.knownNames()))
}

func (l *loader) knownNames() []string { return append(l.set.settingNames(), configFlag) }

// otherCommandHint names the command that has a setting which this command does
// not have.
func (l *loader) otherCommandHint(name string) string {
	if of := l.known[name]; len(of) > 0 {
		return fmt.Sprintf(" (it is one of `%s`)", of[0])
	}
	return ""
}

func (l *loader) loadEnvironment(given map[string]bool) error {
	all := map[string]string{} // variable to setting, of every command
	for name := range l.known {
		all[EnvName(name)] = name
	}
	all[EnvName(configFlag)] = configFlag
	variables := make([]string, 0, len(all))
	for v := range all {
		variables = append(variables, v)
	}
	for _, pair := range l.environ {
		variable, value, ok := strings.Cut(pair, "=")
		if !ok || !strings.HasPrefix(variable, EnvPrefix) {
			continue
		}
		name, known := all[variable]
		if !known {
			return Usagef("unknown variable %s%s", variable, didYouMean(variable, "", variables))
		}
		if given[name] || l.set.fs.Lookup(name) == nil {
			continue
		}
		if err := l.set.fs.Set(name, value); err != nil {
			return Usagef("variable %s: %q: %v", variable, value, err)
		}
		given[name] = true
	}
	return nil
}

func (l *loader) loadFile(path string, given map[string]bool) error {
	body, err := readConfig(path)
	if err != nil {
		return Usagef("%v", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(body, &doc); err != nil {
		return Usagef("read --%s %s: %v; give a YAML file of settings", configFlag, path, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if len(doc.Content) == 0 {
		return nil // empty, or comments only
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return Usagef("read --%s %s:%d: want lines of `flag-name: value`", configFlag, path, root.Line)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		name, at := key.Value, fmt.Sprintf("%s:%d", path, key.Line)
		f := l.set.findSetting(name)
		switch {
		case f == nil:
			return Usagef("%s: unknown key %s of `%s`%s%s", at, name, l.command, l.otherCommandHint(name), didYouMean(name, "", l.set.settingNames()))
		case seen[name]:
			return Usagef("%s: key %s appears twice", at, name)
		}
		seen[name] = true
		text, err := scalarValue(f, value)
		if err != nil {
			return Usagef("%s: key %s: %v", at, name, err)
		}
		if given[name] {
			continue // but what is there is checked all the same, up to here
		}
		if err := l.set.fs.Set(name, text); err != nil {
			return Usagef("%s: key %s: %q: %v", at, name, text, err)
		}
	}
	return nil
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, configError(path, err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, configError(path, err)
	}
	if len(body) > maxConfigBytes {
		return nil, fmt.Errorf("read --%s %s: it has more than %s; give a YAML file of settings", configFlag, path, FormatBytes(maxConfigBytes))
	}
	return body, nil
}

// configError names the flag and the file once, with what to do.
func configError(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("read --%s %s: %w; give a YAML file of settings that this process may read", configFlag, path, err)
}

// scalarValue is a YAML value as it would be written after a flag.
func scalarValue(f *setting, v *yaml.Node) (string, error) {
	switch {
	case v.Kind == yaml.ScalarNode && v.Tag == "!!null":
		return "", errors.New("it has no value")
	case v.Kind == yaml.ScalarNode:
		return v.Value, nil
	case v.Kind == yaml.SequenceNode && f.list:
		var parts []string
		for _, c := range v.Content {
			if c.Kind != yaml.ScalarNode {
				return "", errors.New("want a list of plain values")
			}
			parts = append(parts, c.Value)
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("want one plain value")
}
