package status

import (
	"fmt"
	"io"
)

// WriteStats writes keepalived.stats: the counters of every instance.
func WriteStats(w io.Writer, s *Snapshot) error {
	for i := range s.Instances {
		c := &s.Instances[i].Stats
		_, err := fmt.Fprintf(w, `VRRP Instance: %s
  Advertisements:
    Received: %d
    Sent: %d
  Became master: %d
  Released master: %d
  Packet Errors:
    Length: %d
    TTL: %d
    Invalid Type: %d
    Advertisement Interval: %d
    Address List: %d
  Authentication Errors:
    Invalid Type: %d
    Type Mismatch: %d
    Failure: %d
  Authentication Extension Errors:
    Missing: %d
    Malformed: %d
    Unknown Key: %d
    Invalid HMAC: %d
    Stale: %d
    Replay: %d
  Priority Zero:
    Received: %d
    Sent: %d
`,
			s.Instances[i].Name,
			c.AdvertRcvd, c.AdvertSent, c.BecomeMaster, c.ReleaseMaster,
			c.PacketLenErr, c.IPTTLErr, c.InvalidTypeRcvd, c.AdvertIntervalErr, c.AddrListErr,
			c.InvalidAuthType, c.AuthTypeMismatch, c.AuthFailure,
			c.AuthExtMissing, c.AuthExtMalformed, c.AuthExtUnknownKey, c.AuthExtInvalidHMAC, c.AuthExtStale, c.AuthExtReplay,
			c.PriZeroRcvd, c.PriZeroSent)
		if err != nil {
			return err
		}
	}
	return nil
}
