package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/node"
)

type featuresOptions struct {
	server serverOption
	format string
	yes    bool // of upgrade
}

func (o *featuresOptions) declareFeatures(s *cli.Set) {
	s.String(&o.format, "format", "table", "FORMAT", "table or json")
	o.server.declareServer(s, localServer)
}

func (o *featuresOptions) checkFormat() error {
	if o.format != "table" && o.format != "json" {
		return cli.Usagef("--format %q: want table or json", o.format)
	}
	return nil
}

func featuresShowCommand() cli.Command {
	return cli.Command{
		Name:  "features show",
		Short: "Print the cluster's feature level, and which levels each broker understands",
		Long: `
The feature level is the version of what the cluster stores and computes. It
belongs to the cluster, and not to a program: brokers of several versions run
side by side as long as each understands the level, forwards and back. A new
version brings what it brings only after ` + "`zonewise features upgrade`" + `.

Brokers are those with an open session. One that has just died counts until its
session ends, which takes seconds.`,
		Examples: []string{"zonewise features show", "zonewise features show --format json --server http://10.0.1.7:8080"},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &featuresOptions{}
			o.declareFeatures(s)
			return func(ctx context.Context, env cli.Env) error { return runFeaturesShow(ctx, o, env) }
		},
	}
}

func runFeaturesShow(ctx context.Context, o *featuresOptions, env cli.Env) error {
	if err := o.checkFormat(); err != nil {
		return err
	}
	body, err := o.server.getPath(ctx, node.FeaturesPath)
	if err != nil {
		return err
	}
	return o.printFeatures(env.Stdout, body)
}

// printFeatures prints a broker's answer in the wanted format.
func (o *featuresOptions) printFeatures(out io.Writer, body []byte) error {
	if o.format == "json" {
		_, err := out.Write(body)
		return err
	}
	f, err := o.decodeFeatures(body)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "cluster %s is at feature level %d\n\n", f.Cluster, f.Level)
	err = printTable(out, func(w io.Writer) {
		fmt.Fprintln(w, "BROKER ID\tZONE\tVERSION\tUNDERSTANDS LEVELS")
		for _, b := range f.Brokers {
			fmt.Fprintf(w, "%d\t%s\t%s\t%d to %d\n", b.ID, b.Zone, b.Version, b.MinLevel, b.MaxLevel)
		}
	})
	fmt.Fprintln(out)
	printNextLevels(out, f)
	return err
}

func (o *featuresOptions) decodeFeatures(body []byte) (f *node.Features, err error) {
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, errors.Join(fmt.Errorf("decode the answer of %s: is it a zonewise broker?", o.server.url), err)
	}
	return f, nil
}

// printNextLevels says what the levels above the cluster's would bring, and what
// is in the way.
func printNextLevels(out io.Writer, f *node.Features) {
	for _, n := range f.Next {
		brings := n.Brings
		if brings == "" {
			brings = "this broker does not know it; ask one that does"
		}
		fmt.Fprintf(out, "level %d: %s\n", n.Level, brings)
		if len(n.Missing) > 0 {
			fmt.Fprintf(out, "         brokers %v do not understand it: upgrade their programs first\n", n.Missing)
		}
	}
	switch {
	case f.UpgradeTo > f.Level:
		fmt.Fprintf(out, "all brokers understand level %d: `zonewise features upgrade` raises the cluster to it\n", f.UpgradeTo)
	case len(f.Next) == 0:
		fmt.Fprintln(out, "no broker understands a later level: there is nothing to raise")
	}
}

func featuresUpgradeCommand() cli.Command {
	return cli.Command{
		Name:  "features upgrade",
		Short: "Raise the cluster's feature level to the newest that all brokers understand",
		Long: `
Run it once every broker runs the new version, and you are sure to keep it:
rolling back to versions that do not understand the new level ends here. A
broker of such a version is refused from then on, and there is no way back to a
lower level. Nothing raises the level by itself.

Nothing is converted, and clients notice nothing. Brokers, checkpoints and
archives take the new level from the next entry on; the next checkpoint is
written whole.

It asks for confirmation; --yes is for scripts.`,
		Examples: []string{"zonewise features upgrade", "zonewise features upgrade --yes --server http://10.0.1.7:8080"},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &featuresOptions{}
			s.Bool(&o.yes, "yes", false, "do not ask for confirmation")
			o.declareFeatures(s)
			return func(ctx context.Context, env cli.Env) error { return runFeaturesUpgrade(ctx, o, env) }
		},
	}
}

func runFeaturesUpgrade(ctx context.Context, o *featuresOptions, env cli.Env) error {
	if err := o.checkFormat(); err != nil {
		return err
	}
	if !o.yes && env.Terminal == nil {
		return errNobodyAnswers
	}
	body, err := o.server.getPath(ctx, node.FeaturesPath)
	if err != nil {
		return err
	}
	f, err := o.decodeFeatures(body)
	if err != nil {
		return err
	}
	if f.UpgradeTo <= f.Level {
		return o.printFeatures(env.Stdout, body)
	}
	// What is for people goes to stderr: stdout may be JSON.
	fmt.Fprintf(env.Stderr, "cluster %s: feature level %d -> %d\n", f.Cluster, f.Level, f.UpgradeTo)
	for _, n := range f.Next {
		if n.Level <= f.UpgradeTo {
			fmt.Fprintf(env.Stderr, "level %d: %s\n", n.Level, n.Brings)
		}
	}
	fmt.Fprintf(env.Stderr, "Rolling back ends here: programs that do not understand level %d are refused from now on, and no level is ever lowered.\n", f.UpgradeTo)
	if !o.yes {
		if err := confirm(env, fmt.Sprintf("Raise the level to %d?", f.UpgradeTo)); err != nil {
			return err
		}
	}
	if body, err = o.server.postJSON(ctx, node.FeaturesPath, node.UpgradeRequest{Level: f.UpgradeTo}); err != nil {
		return err
	}
	fmt.Fprintln(env.Stderr, "raised")
	return o.printFeatures(env.Stdout, body)
}

var errNobodyAnswers = cli.Usagef("features upgrade asks for confirmation, and standard input is no terminal: give --yes")

// confirm returns an error unless a person answers yes. Input that ends before
// an answer is no person: /dev/null is a character device as a terminal is.
func confirm(env cli.Env, question string) error {
	fmt.Fprintf(env.Stderr, "%s Type yes: ", question)
	answer, err := bufio.NewReader(env.Terminal).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if err != nil && answer == "" {
		return errNobodyAnswers
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("not confirmed: nothing was changed")
	}
	return nil
}
