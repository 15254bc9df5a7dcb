//go:build clients

package clients

import "testing"

func kcatClient(t *testing.T, d *dev) {}
