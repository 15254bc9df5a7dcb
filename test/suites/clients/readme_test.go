//go:build clients

package clients

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
)

// The README's programs and commands go to the ports of `make run`.
const (
	readmePort = 9092
	readmeHTTP = 8080
)

// TestReadme runs the programs of the README unchanged and in order, each on the
// topic that the first one created.
func TestReadme(t *testing.T) {
	for _, p := range []int{readmePort, readmePort + 1, readmePort + 2, readmeHTTP} {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			t.Fatalf("the README's programs need the ports of make run: %v", err)
		}
		ln.Close()
	}
	folder := t.TempDir()
	program := devserver.Program(t, folder)
	t.Setenv("TEST_BROKER", program)
	devserver.StartAt(t, readmePort, readmeHTTP)
	for _, p := range []struct {
		language, file, hello string
		command               func(file string) ([]string, error)
	}{
		{"python", "readme.py", "hello from", readmePython},
		{"java", "Readme.java", "hello from", readmeJava},
		{"go", "main.go", "hello from", readmeGo},
	} {
		t.Run(p.language, func(t *testing.T) {
			program := readmeSnippets(t, p.language)
			if len(program) != 1 {
				t.Fatalf("%d programs in the README, want one", len(program))
			}
			file := filepath.Join(folder, p.file)
			if err := os.WriteFile(file, []byte(program[0]), 0o644); err != nil {
				t.Fatal(err)
			}
			command, err := p.command(file)
			skipIfMissing(t, "readme "+p.language, err)
			cmd := exec.Command(command[0], command[1:]...)
			cmd.Dir = folder
			timer := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
			out, err := cmd.CombinedOutput()
			timer.Stop()
			if err != nil || !strings.Contains(string(out), "consumed "+p.hello) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	t.Run("commands", func(t *testing.T) { readmeCommands(t, filepath.Dir(program)) })
}

// readmeCommands runs the README's shell commands about costs unchanged, on the
// cluster that the programs wrote to.
func readmeCommands(t *testing.T, path string) {
	for _, line := range strings.Split(strings.TrimSpace(strings.Join(readmeSnippets(t, "sh"), "")), "\n") {
		cmd := exec.Command("sh", "-c", line)
		cmd.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "dev-a") && !strings.Contains(string(out), "orders") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

// readmeSnippets returns the README's code blocks of a language.
func readmeSnippets(t *testing.T, language string) (all []string) {
	t.Helper()
	root, err := devserver.Repository()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "\n```"+language+"\n")[1:] {
		program, _, ok := strings.Cut(block, "\n```")
		if !ok {
			t.Fatalf("a block of %s has no end", language)
		}
		all = append(all, program+"\n")
	}
	return all
}

func readmePython(file string) ([]string, error) {
	command, err := pythonProgram("clients-python", "client.py")
	if err != nil {
		return nil, err
	}
	return []string{command[0], "-u", file}, nil
}

// readmeJava lets java compile and run a single-file program.
func readmeJava(file string) ([]string, error) {
	cp, err := javaClassPath()
	if err != nil {
		return nil, err
	}
	return []string{"java", "-Xmx256m", "-cp", cp, file}, nil
}

// readmeGo builds the program with the versions that clients-go pins.
func readmeGo(file string) ([]string, error) {
	root, err := devserver.Repository()
	if err != nil {
		return nil, err
	}
	program := strings.TrimSuffix(file, ".go")
	build := exec.Command("go", "build", "-o", program, file)
	build.Dir = filepath.Join(root, "test", "tools", "clients-go")
	build.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build the README's program: %w", err), errors.New(string(out)))
	}
	return []string{program}, nil
}
