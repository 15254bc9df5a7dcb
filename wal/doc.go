// Package wal makes records durable and ordered before anyone is told so.
package wal
