// Package nftables keeps the daemon's own nftables tables as they are wanted, one type for each use of them.
package nftables
