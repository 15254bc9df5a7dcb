package cli

import (
	"fmt"
	"io"
	"strings"
)

// printOverview lists the commands whose names begin with prefix.
func (p *Program) printOverview(w io.Writer, prefix string) {
	fmt.Fprintf(w, "%s\n\nUsage: %s <command> [flags]\n\nCommands:\n", p.About, p.Name)
	for _, c := range p.Commands {
		if strings.HasPrefix(c.Name, prefix) {
			fmt.Fprintf(w, "  %-18s %s\n", c.Name, c.Short)
		}
	}
	fmt.Fprintf(w, "\nEvery setting is a flag, a variable (--kafka-port is %s) or a key of the\n", EnvName("kafka-port"))
	fmt.Fprintf(w, "YAML file that --config names (kafka-port: 9092), in that order of precedence.\n")
	fmt.Fprintf(w, "`%s <command> --help` tells more of one command.\n", p.Name)
}

func (p *Program) runHelp(args []string) error {
	if len(args) == 0 {
		p.printOverview(p.Stdout, "")
		return nil
	}
	c, _, err := p.findCommand(append(args, "--help"))
	if err != nil {
		return err
	}
	if c == nil {
		p.printOverview(p.Stdout, args[0]+" ")
		return nil
	}
	p.printCommandHelp(p.Stdout, c)
	return nil
}

// printCommandHelp teaches one command.
func (p *Program) printCommandHelp(w io.Writer, c *Command) {
	set := newSet()
	c.New(set)
	line := p.Name + " " + c.Name
	if c.Args != "" {
		line += " " + c.Args
	}
	if len(set.flags) > 0 {
		line += " [flags]"
	}
	fmt.Fprintf(w, "%s\n\nUsage: %s\n", c.Short, line)
	if c.Long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(c.Long))
	}
	if len(c.Examples) > 0 {
		fmt.Fprintf(w, "\nExamples:\n")
		for _, e := range c.Examples {
			fmt.Fprintf(w, "  %s\n", e)
		}
	}
	if len(set.flags) == 0 {
		return
	}
	fmt.Fprintf(w, "\nFlags (or %s, or a key of the --config file):\n", EnvName("name"))
	for _, f := range set.flags {
		f.printHelp(w)
	}
	(&setting{name: configFlag, unit: "FILE", help: "YAML file of settings: `flag-name: value`"}).printHelp(w)
}

// helpColumn is where a flag's text begins, and helpWidth where it wraps.
const (
	helpColumn = 28
	helpWidth  = 100
)

func (f *setting) printHelp(w io.Writer) {
	head := "  --" + f.name
	if f.unit != "" {
		head += " " + f.unit
	}
	text := f.help
	switch {
	case f.unit == "" && f.def == "true":
		text += " (default true; --" + f.name + "=false)"
	case f.def != "" && f.unit != "":
		text += " (default " + f.def + ")"
	}
	lines := wrapText(text, helpWidth-helpColumn)
	if len(head)+1 > helpColumn {
		fmt.Fprintln(w, head)
		head = ""
	}
	for _, l := range lines {
		fmt.Fprintf(w, "%-*s%s\n", helpColumn, head, l)
		head = ""
	}
}

// wrapText breaks text into lines of at most width bytes, at spaces.
func wrapText(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
