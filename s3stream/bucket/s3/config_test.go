package s3

import (
	"strings"
	"testing"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

func TestURLForms(t *testing.T) {
	for raw, want := range map[string]Config{
		"s3://name":  {Bucket: "name"},
		"s3://name/": {Bucket: "name"},
		"s3://my.data-1?region=eu-west-1&prefix=a/b/":                        {Bucket: "my.data-1", Region: "eu-west-1", Prefix: "a/b"},
		"s3://name?endpoint=http://127.0.0.1:9000":                           {Bucket: "name", Endpoint: "http://127.0.0.1:9000", PathStyle: true},
		"s3://name?endpoint=https%3A%2F%2Fstore.example%2F&path_style=false": {Bucket: "name", Endpoint: "https://store.example"},
		"s3://name?path_style=true&region=us-east-1":                         {Bucket: "name", Region: "us-east-1", PathStyle: true},
	} {
		got, err := ParseURL(raw)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", raw, got, err, want)
		}
	}
}

func TestURLsThatAreRefusedSayWhyAndTellNoSecret(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                      "scheme",
		"name":                                  "scheme",
		"http://name":                           "scheme",
		"s3://":                                 "bucket name",
		"s3://ab":                               "bucket name",
		"s3://Name":                             "bucket name",
		"s3://a_b_c":                            "bucket name",
		"s3://-name":                            "bucket name",
		"s3://na..me":                           "bucket name",
		"s3://" + strings.Repeat("a", 64):       "bucket name",
		"s3://name:80":                          "bucket name",
		"s3://name/folder":                      "prefix=",
		"s3://key:hunter2@name":                 "AWS_ACCESS_KEY_ID",
		"s3://name#x":                           "fragment",
		"s3://name?endpoint=":                   "empty",
		"s3://name?region=a&region=b":           "2 times",
		"s3://name?secret=hunter2":              "not known",
		"s3://name?path_style=maybe":            "true or false",
		"s3://name?endpoint=ftp://x":            "endpoint",
		"s3://name?endpoint=http://x/y":         "endpoint",
		"s3://name?endpoint=http://a:hunter2@x": "endpoint",
		"s3://name?endpoint=127.0.0.1:9000":     "endpoint",
		"s3://name?region=EU West":              "region",
		"s3://name?prefix=../x":                 "prefix",
		"s3://name?prefix=/":                    "prefix",
		"s3://na\x7fme:hunter2":                 "want s3://",
		"s3://name?a;b":                         "want s3://",
	} {
		config, err := ParseURL(raw)
		if err == nil && want == "prefix" && config.Prefix == "" {
			continue // "/" alone is no prefix
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %+v, %v; want an error about %q and no secret in it", raw, config, err, want)
		}
	}
}

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	for name, config := range map[string]Config{
		"half of the credentials": {Bucket: "name", AccessKey: "a"},
		"negative connections":    {Bucket: "name", MaxConns: -1},
		"retry without attempts":  {Bucket: "name", Retry: bucket.RetryConfig{Base: 1}},
	} {
		if err := config.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := Open(t.Context(), config); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestNoRegionIsSaidBeforeAnythingIsSent(t *testing.T) {
	for name, value := range map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	if _, err := Open(t.Context(), Config{Bucket: "name", AccessKey: "a", SecretKey: "b"}); err == nil || !strings.Contains(err.Error(), "region=") {
		t.Errorf("open: %v, want an error about the region", err)
	}
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"s3://name", "s3://name?endpoint=http://127.0.0.1:9000&region=us-east-1&path_style=true&prefix=a/b",
		"s3://name?endpoint=https://[::1]:1&path_style=false", "s3://u:p@name", "s3://name?prefix=%2e%2e", "s3://name?prefix=a%26region=b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		config, err := ParseURL(raw)
		if err != nil {
			return
		}
		if err := config.Validate(); err != nil {
			t.Fatalf("%q was read as %+v, which is not valid: %v", raw, config, err)
		}
		again, err := ParseURL(config.URL())
		if err != nil || again != config {
			t.Fatalf("%q was read as %+v; written as %q that is %+v, %v", raw, config, config.URL(), again, err)
		}
	})
}
