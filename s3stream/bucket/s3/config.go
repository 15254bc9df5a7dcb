package s3

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Config is the bucket, its place, and the credentials.
type Config struct {
	Bucket    string
	Endpoint  string // "http://host:port" of a store that is not Amazon's; "" is Amazon's
	Region    string // "" takes it from environment or profile; with an endpoint, then us-east-1
	PathStyle bool   // http://host/bucket/name in place of http://bucket.host/name
	Prefix    string // all names are below it; without '/' at its end

	// Credentials; empty, and so by default, they come from the SDK's chain:
	// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, profile, web identity, container, instance.
	AccessKey, SecretKey, SessionToken string

	Retry    bucket.RetryConfig // zero is bucket.DefaultRetry with its own seed
	MaxConns int                // connections at once; 0 is DefaultConns
}

const (
	// DefaultConns bounds the connections of one broker: four times the
	// requests that its lanes, caches and roles have under way at once.
	DefaultConns  = 256
	defaultRegion = "us-east-1"
)

const urlForm = "want s3://NAME[?endpoint=http://HOST:PORT][&region=REGION][&path_style=true|false][&prefix=FOLDER]"

// ParseURL reads the form s3://name?endpoint=...&region=...&path_style=...&prefix=...
// Path style is the default where an endpoint is given, since few stores but
// Amazon's have a DNS name per bucket. Credentials have no place in a URL.
func ParseURL(raw string) (Config, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse repeats the URL, which may hold a secret by mistake.
		return Config{}, fmt.Errorf("parse bucket URL: not a URL; %s", urlForm)
	}
	switch {
	case u.Scheme != "s3":
		return Config{}, fmt.Errorf("parse bucket URL: scheme is %q; %s", u.Scheme, urlForm)
	case u.User != nil:
		return Config{}, errors.New("parse bucket URL: credentials must not be part of it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return Config{}, fmt.Errorf("parse bucket URL: it has a fragment; %s", urlForm)
	case u.Path != "" && u.Path != "/":
		return Config{}, fmt.Errorf("parse bucket URL: give the folder %q as prefix=; %s", u.Path, urlForm)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Config{}, fmt.Errorf("parse bucket URL: %w; %s", err, urlForm)
	}
	config := Config{Bucket: u.Host, PathStyle: values.Get("endpoint") != ""}
	for key, all := range values {
		if len(all) != 1 || all[0] == "" {
			return Config{}, fmt.Errorf("parse bucket URL: %q is given %d times or empty; %s", key, len(all), urlForm)
		}
		switch key {
		case "endpoint":
			config.Endpoint = strings.TrimSuffix(all[0], "/")
		case "region":
			config.Region = all[0]
		case "prefix":
			config.Prefix = strings.TrimSuffix(all[0], "/")
		case "path_style":
			if config.PathStyle, err = strconv.ParseBool(all[0]); err != nil {
				return Config{}, fmt.Errorf("parse bucket URL: path_style is %q; want true or false", all[0])
			}
		default:
			return Config{}, fmt.Errorf("parse bucket URL: %q is not known; %s", key, urlForm)
		}
	}
	return config, config.Validate()
}

// URL is the form that ParseURL reads. It holds no secret.
func (c Config) URL() string {
	values := url.Values{}
	for key, value := range map[string]string{"endpoint": c.Endpoint, "region": c.Region, "prefix": c.Prefix} {
		if value != "" {
			values.Set(key, value)
		}
	}
	if c.PathStyle != (c.Endpoint != "") {
		values.Set("path_style", strconv.FormatBool(c.PathStyle))
	}
	out := url.URL{Scheme: "s3", Host: c.Bucket, RawQuery: values.Encode()}
	return out.String()
}

// Validate returns what is wrong with the configuration.
func (c Config) Validate() error {
	if err := checkBucketName(c.Bucket); err != nil {
		return err
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
			u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(c.Endpoint, "#") {
			return errors.New("s3 endpoint: want http://HOST[:PORT] or https://HOST[:PORT] and nothing else")
		}
	}
	for _, r := range c.Region {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return fmt.Errorf("s3 region %q: want small letters, digits and '-'", c.Region)
		}
	}
	if c.Prefix != "" {
		if err := bucket.CheckName(c.Prefix); err != nil {
			return fmt.Errorf("s3 prefix: %w", err)
		}
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		return errors.New("s3 credentials: access key and secret key must be given together")
	}
	if c.MaxConns < 0 {
		return fmt.Errorf("s3 connections %d: want 0 (the default) or more", c.MaxConns)
	}
	if c.Retry == (bucket.RetryConfig{}) {
		return nil
	}
	return c.Retry.Validate()
}

// checkBucketName enforces Amazon's rules for names of buckets.
func checkBucketName(name string) error {
	wrong := len(name) < 3 || len(name) > 63 || strings.Contains(name, "..")
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		inner := (c == '-' || c == '.') && i > 0 && i < len(name)-1
		wrong = wrong || !letter && !inner
	}
	if wrong {
		return fmt.Errorf("s3 bucket name %q: want 3 to 63 small letters, digits, '-' and '.', with a letter or digit at both ends", name)
	}
	return nil
}
