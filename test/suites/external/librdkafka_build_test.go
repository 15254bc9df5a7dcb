//go:build external

package external

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const (
	// The npm package that contains librdkafka's sources with its tests; its own
	// version, and that of librdkafka.
	librdkafkaPackage        = "@confluentinc/kafka-javascript"
	librdkafkaPackageVersion = "1.10.1"
	librdkafkaVersion        = "2.15.1"
)

// librdkafkaTests returns the folder of librdkafka's tests, with test-runner built. It
// needs npm, gcc, g++, make, and the headers of OpenSSL and zlib. It downloads the
// headers of RapidJSON from Debian if possible; without them four tests skip
// themselves.
func librdkafkaTests() (string, error) {
	folder, err := fillCached("librdkafka-"+librdkafkaVersion+"-json", func(folder string) error {
		if err := runCommand(folder, "npm", "pack", "--silent", librdkafkaPackage+"@"+librdkafkaPackageVersion); err != nil {
			return err
		}
		archives, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
		if err != nil || len(archives) != 1 {
			return fmt.Errorf("npm pack left %v: %w", archives, err)
		}
		if err := runCommand(folder, "tar", "xzf", archives[0], "--strip-components=3", "package/deps/librdkafka"); err != nil {
			return err
		}
		return errors.Join(
			os.Chmod(filepath.Join(folder, "configure"), 0o755), // npm packages have no file modes
			os.Chmod(filepath.Join(folder, "lds-gen.py"), 0o755),
			os.Chmod(filepath.Join(folder, "tests", "java", "run-class.sh"), 0o755),
			rapidJSON(folder),
			runCommand(folder, "sh", "-c", "export CPLUS_INCLUDE_PATH=$PWD/rapidjson/usr/include; "+
				"./configure --disable-gssapi && nice make -j2 libs && nice make -C tests -j2 build"))
	})
	return filepath.Join(folder, "tests"), err
}

// rapidJSON unpacks RapidJSON's headers from Debian, which needs no root.
func rapidJSON(folder string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil // the tests that need it report that they skip
	}
	return runCommand(folder, "sh", "-c", "{ apt-get download rapidjson-dev || { apt-get update && apt-get download rapidjson-dev; }; } && dpkg -x rapidjson-dev_*.deb rapidjson")
}

// kafkaPath creates the parts of a Kafka installation that some tests need: bin/ with
// the shell tools, libs/ with the jars.
func kafkaPath(folder string) (string, error) {
	classes, err := kafkaoracle.Classpath()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(folder, "bin")
	if err := errors.Join(os.MkdirAll(bin, 0o755), os.Symlink(filepath.Dir(classes), filepath.Join(folder, "libs"))); err != nil {
		return "", err
	}
	for tool, class := range map[string]string{
		"kafka-topics.sh": "org.apache.kafka.tools.TopicCommand", "kafka-configs.sh": "org.apache.kafka.tools.ConfigCommand",
		"kafka-acls.sh": "org.apache.kafka.tools.AclCommand", "kafka-run-class.sh": "",
	} {
		text := strings.TrimSpace(`exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "${CLASSPATH:+$CLASSPATH:}`+classes+`" `+class) + ` "$@"`
		if err := os.WriteFile(filepath.Join(bin, tool), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			return "", err
		}
	}
	return folder, nil
}
