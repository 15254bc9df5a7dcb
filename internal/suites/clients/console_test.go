//go:build clients

package clients

import "testing"

func consoleTools(t *testing.T, d *dev, cp string) {}
func countedByZone(t *testing.T, d *dev)           {}
