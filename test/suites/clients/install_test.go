//go:build clients

package clients

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/zonewise/zonewise/test/testenv/devserver"
)

// missingError is the reason why a client cannot run here. Every other error is a
// failure.
type missingError struct{ why string }

func (e missingError) Error() string { return e.why }

// requirePrograms fails unless all programs are installed.
func requirePrograms(programs ...string) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return missingError{p + " is not installed"}
		}
	}
	return nil
}

// installTool runs fill on an empty folder once per content of the files in
// test/tools/<tool>, and returns that folder and the tool's own. Concurrent
// tests wait for the one that installs.
func installTool(tool string, files []string, fill func(folder, tool string) error) (folder, source string, err error) {
	root, err := devserver.Repository()
	if err != nil {
		return "", "", err
	}
	source = filepath.Join(root, "test", "tools", tool)
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.GOARCH)
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", "", err
		}
		fmt.Fprintln(hash, name, len(content))
		hash.Write(content)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	folder = filepath.Join(base, "zonewise-test", tool+"-"+hex.EncodeToString(hash.Sum(nil))[:16])
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", "", err
	}
	lock, err := os.OpenFile(folder+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", "", err
	}
	defer lock.Close() // releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", "", err
	}
	done := filepath.Join(folder, "installed")
	if _, err := os.Stat(done); err == nil {
		return folder, source, nil
	}
	if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o755)); err != nil {
		return "", "", err
	}
	if err := fill(folder, source); err != nil {
		return "", "", err
	}
	return folder, source, os.WriteFile(done, nil, 0o644)
}

// runCommand runs a program in a folder and shows its output if it fails.
func runCommand(folder, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// javaClassPath is the class path of the Java client, of the console tools and
// of our own program.
func javaClassPath() (string, error) {
	if err := requirePrograms("java", "javac", "mvn"); err != nil {
		return "", err
	}
	folder, source, err := installTool("clients-java", []string{"pom.xml", "Client.java", "SchemaRegistry.java", "Debezium.java", "Ui.java", "Wide.java", "log4j2.properties"}, func(folder, tool string) error {
		libs := filepath.Join(folder, "libs")
		if err := runCommand(tool, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+libs); err != nil {
			return err
		}
		return runCommand(tool, "javac", "-encoding", "UTF-8", "-cp", filepath.Join(libs, "*"), "-d", filepath.Join(folder, "classes"),
			"Client.java", "SchemaRegistry.java", "Debezium.java", "Ui.java", "Wide.java")
	})
	if err != nil {
		return "", err
	}
	return strings.Join([]string{filepath.Join(folder, "classes"), source, filepath.Join(folder, "libs", "*")}, ":"), nil
}

// flinkClassPath is the class path of Flink's producer and of our program.
func flinkClassPath() (string, error) {
	if err := requirePrograms("java", "javac", "mvn"); err != nil {
		return "", err
	}
	folder, _, err := installTool("clients-flink", []string{"pom.xml", "TwoPhase.java"}, func(folder, tool string) error {
		libs := filepath.Join(folder, "libs")
		if err := runCommand(tool, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+libs); err != nil {
			return err
		}
		return runCommand(tool, "javac", "-encoding", "UTF-8", "-cp", filepath.Join(libs, "*"), "-d", filepath.Join(folder, "classes"), "TwoPhase.java")
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, "classes") + ":" + filepath.Join(folder, "libs", "*"), nil
}

// javaCommand is a JVM with flags for a fast start.
func javaCommand(classPath, main string) []string {
	return []string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", classPath, main}
}

func javaClient(string) ([]string, error) {
	cp, err := javaClassPath()
	if err != nil {
		return nil, err
	}
	return javaCommand(cp, "Client"), nil
}

func pythonClient(string) ([]string, error) { return pythonProgram("clients-python", "client.py") }

func kafkaPythonClient(string) ([]string, error) {
	return pythonProgram("clients-python", "kafka_python.py")
}

func aioKafkaClient(string) ([]string, error) { return pythonProgram("clients-python", "aio_kafka.py") }

// pythonProgram is a program of a tool in an environment with the tool's pinned versions.
func pythonProgram(of, name string) ([]string, error) {
	if err := requirePrograms("python3"); err != nil {
		return nil, err
	}
	if err := runCommand(".", "python3", "-c", "import venv, ensurepip"); err != nil {
		return nil, missingError{"python3 has no venv or pip"}
	}
	folder, source, err := installTool(of, []string{"requirements.txt"}, func(folder, tool string) error {
		if err := runCommand(tool, "python3", "-m", "venv", folder); err != nil {
			return err
		}
		return runCommand(tool, filepath.Join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
			"--requirement", "requirements.txt")
	})
	if err != nil {
		return nil, err
	}
	return []string{filepath.Join(folder, "bin", "python"), "-u", filepath.Join(source, name)}, nil
}

func nodeClient(string) ([]string, error) {
	if err := requirePrograms("node", "npm"); err != nil {
		return nil, err
	}
	// node looks for node_modules next to the program.
	folder, _, err := installTool("clients-node", []string{"package.json", "package-lock.json", "client.js"}, func(folder, tool string) error {
		for _, name := range []string{"package.json", "package-lock.json", "client.js"} {
			content, err := os.ReadFile(filepath.Join(tool, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
				return err
			}
		}
		return runCommand(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	})
	if err != nil {
		return nil, err
	}
	return []string{"node", filepath.Join(folder, "client.js")}, nil
}

// rustClient builds the program in Rust, and librdkafka with it, into the cache.
func rustClient(string) ([]string, error) {
	if err := requirePrograms("cargo", "cc", "make"); err != nil {
		return nil, err
	}
	pins := []string{"Cargo.toml", "Cargo.lock", "src/main.rs", "src/produce.rs", "src/consume.rs"}
	folder, _, err := installTool("clients-rust", pins, func(folder, tool string) error {
		return runCommand(tool, "cargo", "build", "--quiet", "--locked", "--jobs", "2", "--target-dir", filepath.Join(folder, "target"))
	})
	if err != nil {
		return nil, err
	}
	return []string{filepath.Join(folder, "target", "debug", "clients-rust")}, nil
}

// goClient builds the program of the Go clients into a folder.
func goClient(folder string) ([]string, error) {
	root, err := devserver.Repository()
	if err != nil {
		return nil, err
	}
	program := filepath.Join(folder, "jsonl")
	build := exec.Command("go", "build", "-o", program, "./jsonl") // the second build comes from the go command's cache
	build.Dir = filepath.Join(root, "test", "tools", "clients-go")
	build.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build clients-go: %w\n%s", err, out)
	}
	return []string{program}, nil
}

// installKcat installs Debian's kcat if the process is root.
func installKcat() error {
	if requirePrograms("kcat") == nil {
		return nil
	}
	if os.Geteuid() != 0 || requirePrograms("apt-get") != nil {
		return missingError{"kcat is not installed, and we are not root on a Debian to install it"}
	}
	err := runCommand("/", "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "kcat")
	if err != nil {
		err = errors.Join(runCommand("/", "apt-get", "update", "--quiet"), runCommand("/", "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "kcat"))
	}
	return err
}
