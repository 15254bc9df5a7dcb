package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Exit codes. A command may have more of its own, from 3 on: see Exitf.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2
)

// UsageError is a fault of how the program was called.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// ExitError is the end of a command that did its work and has to say so by an exit
// code of its own.
type ExitError struct {
	Code int
	text string
}

func (e *ExitError) Error() string { return e.text }

// Exitf makes an ExitError.
func Exitf(code int, format string, args ...any) error {
	return &ExitError{code, fmt.Sprintf(format, args...)}
}

// Env is what a command may use of the world around it.
type Env struct {
	Args           []string // that are no flags
	Stdout, Stderr io.Writer
}

// Command is one subcommand. Run is called with its settings loaded.
type Command struct {
	Name     string // "broker", or of two words: "etcd add"
	Args     string // of its arguments, as in the usage line
	MinArgs  int
	MaxArgs  int
	Short    string // one line
	Long     string // what it does, and what to know
	Examples []string
	// New declares the settings in s and returns what runs with them. It is
	// called once per run of the program, and for help.
	New func(s *Set) func(ctx context.Context, env Env) error
}

// Program is a set of commands.
type Program struct {
	Name     string
	About    string
	Commands []Command
	Environ  []string // KEY=value
	Stdout   io.Writer
	Stderr   io.Writer
}

// Main runs the command in args (without the program's name) and returns the
// exit code.
func (p *Program) Main(ctx context.Context, args []string) int {
	err := p.dispatch(ctx, args)
	var usage *UsageError
	var exit *ExitError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		fmt.Fprintf(p.Stderr, "%s: %v\n", p.Name, err)
		return ExitUsage
	case errors.As(err, &exit):
		fmt.Fprintf(p.Stderr, "%s: %v\n", p.Name, err)
		return exit.Code
	}
	fmt.Fprintf(p.Stderr, "%s: %v\n", p.Name, err)
	return ExitFailure
}

func (p *Program) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		p.printOverview(p.Stderr, "")
		return Usagef("no command")
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return p.runHelp(args[1:])
	case "-version", "--version":
		args = []string{"version"}
	}
	c, rest, err := p.findCommand(args)
	if err != nil {
		return err
	}
	if c == nil { // a word that begins commands of two: `zonewise etcd --help`
		p.printOverview(p.Stdout, args[0]+" ")
		return nil
	}
	set := newSet()
	run := c.New(set)
	l := loader{set: set, command: p.Name + " " + c.Name, environ: p.Environ, known: p.settingsByCommand()}
	left, err := l.loadSettings(rest)
	switch {
	case errors.Is(err, flag.ErrHelp):
		p.printCommandHelp(p.Stdout, c)
		return nil
	case err != nil:
		return fmt.Errorf("%w (see `%s %s --help`)", err, p.Name, c.Name)
	case len(left) < c.MinArgs || len(left) > c.MaxArgs:
		return Usagef("%s: %s (see `%s %s --help`)", c.Name, argCountError(c, left), p.Name, c.Name)
	}
	return run(ctx, Env{Args: left, Stdout: p.Stdout, Stderr: p.Stderr})
}

func argCountError(c *Command, left []string) string {
	if len(left) > c.MaxArgs {
		return fmt.Sprintf("unexpected argument %q", left[c.MaxArgs])
	}
	return "missing argument: want " + c.Args
}

// findCommand matches the longest command name that args begin with. A nil
// command without error means an overview of what begins with args[0].
func (p *Program) findCommand(args []string) (*Command, []string, error) {
	for n := min(2, len(args)); n > 0; n-- {
		name := strings.Join(args[:n], " ")
		for i := range p.Commands {
			if p.Commands[i].Name == name {
				return &p.Commands[i], args[n:], nil
			}
		}
	}
	var first, second []string
	for _, c := range p.Commands {
		word, more, _ := strings.Cut(c.Name, " ")
		first = append(first, word)
		if word == args[0] {
			second = append(second, more)
		}
	}
	switch {
	case len(second) == 0:
		return nil, nil, Usagef("unknown command %q%s", args[0], didYouMean(args[0], "", first))
	case len(args) > 1 && (args[1] == "--help" || args[1] == "-h"):
		return nil, nil, nil
	case len(args) == 1:
		return nil, nil, Usagef("%s: choose one of %s", args[0], strings.Join(second, ", "))
	}
	return nil, nil, Usagef("unknown command %q of %s: want one of %s%s", args[1], args[0], strings.Join(second, ", "), didYouMean(args[1], "", second))
}

// settingsByCommand lists the settings of all commands.
func (p *Program) settingsByCommand() map[string][]string {
	known := map[string][]string{}
	for i := range p.Commands {
		set := newSet()
		p.Commands[i].New(set)
		for _, name := range set.settingNames() {
			known[name] = append(known[name], p.Name+" "+p.Commands[i].Name)
		}
	}
	return known
}
