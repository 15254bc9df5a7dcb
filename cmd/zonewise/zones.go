package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/zonewise/zonewise/dashboards"
	"github.com/zonewise/zonewise/internal/cli"
)

type zonesOptions struct {
	server serverOption
	format string
}

func zonesCommand() cli.Command {
	return cli.Command{
		Name:  "zones",
		Short: "Print zones with their brokers, listeners, clients and bytes",
		Long: `
Clients that produce or fetch are counted by the evidence that placed them
(listener, tag, rack, cidr, or unknown), and by whether they talk to a broker of
their own zone (aligned) or not. The zone named (none) has the clients that
nothing places. Bytes are what its clients sent and received in the last two
hours, protocol included. The broker that is asked adds up what all brokers count, and names
those that do not answer within a second.`,
		Examples: []string{"zonewise zones", "zonewise zones --format json --server http://10.0.1.7:8080"},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &zonesOptions{}
			s.String(&o.format, "format", "table", "FORMAT", "table or json")
			o.server.declareServer(s, localServer)
			return func(ctx context.Context, env cli.Env) error { return runZones(ctx, o, env) }
		},
	}
}

func runZones(ctx context.Context, o *zonesOptions, env cli.Env) error {
	switch o.format {
	case "json":
		body, err := o.server.getPath(ctx, "/api/v1/zones")
		if err != nil {
			return err
		}
		_, err = env.Stdout.Write(body)
		return err
	case "table":
		var c dashboards.Cluster
		if err := o.server.getJSON(ctx, "/api/v1/zones", &c); err != nil {
			return err
		}
		return printZones(env.Stdout, &c)
	}
	return cli.Usagef("--format %q: want table or json", o.format)
}

func printZones(out io.Writer, c *dashboards.Cluster) error {
	by := fmt.Sprintf("broker %d", c.Broker)
	if c.Broker < 0 {
		by = "a broker that has no session just now"
	}
	fmt.Fprintf(out, "cluster %s (id %s), incarnation %d, as of revision %d, reported by %s\n\n", c.Name, c.ID, c.Incarnation, c.AsOf, by)
	if len(c.ClientsMissing) > 0 {
		fmt.Fprintf(out, "brokers %v did not report their clients, which are missing below\n\n", c.ClientsMissing)
	}
	return errors.Join(printTable(out, func(w io.Writer) { printZoneLines(w, c) }), printTable(out, func(w io.Writer) { printListeners(w, c) }))
}

func printZoneLines(w io.Writer, c *dashboards.Cluster) {
	fmt.Fprintf(w, "ZONE\tBROKER IDS\tCLIENTS (ALIGNED/NOT)\tIN, LAST %d MIN\tOUT, LAST %d MIN\n", c.BytesMinutes, c.BytesMinutes)
	for _, z := range c.Zones {
		var brokers, clients []string
		for _, b := range z.Brokers {
			text := fmt.Sprint(b.ID)
			if b.Draining {
				text += " (draining)"
			}
			brokers = append(brokers, text)
		}
		for _, k := range z.Clients {
			clients = append(clients, fmt.Sprintf("%s %d/%d", k.Evidence, k.Aligned, k.Misaligned))
		}
		name := string(z.ID)
		if name == "" {
			name = "(none)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, orDash(brokers), orDash(clients), humanBytes(float64(z.BytesIn)), humanBytes(float64(z.BytesOut)))
	}
}

func printListeners(w io.Writer, c *dashboards.Cluster) {
	fmt.Fprintln(w, "\nBROKER ID\tZONE\tLISTENERS (CLIENTS OF)")
	for _, z := range c.Zones {
		for _, b := range z.Brokers {
			var listeners []string
			for _, l := range b.Listeners {
				listeners = append(listeners, l.String())
			}
			fmt.Fprintf(w, "%d\t%s\t%s\n", b.ID, z.ID, orDash(listeners))
		}
	}
}

func orDash(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}

// humanBytes is a size for people.
func humanBytes(n float64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.0f B", n)
}
