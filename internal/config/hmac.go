package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// HMAC is the auth_hmac block.
type HMAC struct {
	Keys      []opt[hmacKey]
	Active    opt[int]
	Window    opt[time.Duration]
	Monotonic opt[bool]
	Mode      opt[model.HMACMode]
}

// hmacKey is a key of auth_hmac, or where it is.
type hmacKey struct {
	ID int
	secret
}

var hmacTable = schema.TableOf(func() schema.Rows[HMAC] {
	return schema.Rows[HMAC]{
		schema.Line("key", "ID TEXT | hex:DIGITS | file:PATH | credential:NAME", readHMACKey,
			"A key of 32 to 64 bytes; a file has TEXT or hex:DIGITS and is for the owner alone, a credential is a file of systemd's LoadCredential."),
		schema.Inherited("active_key", schema.Int(1, 255), func(h *HMAC) *opt[int] { return &h.Active }, "The key to send with."),
		schema.Inherited("time_window", schema.WholeSeconds(1, 300), func(h *HMAC) *opt[time.Duration] { return &h.Window },
			"Accepted difference of clocks; three advert intervals and at least 5 s if not given."),
		schema.Inherited("anti_replay", schema.Choice("time|monotonic", map[string]bool{"time": false, "monotonic": true}),
			func(h *HMAC) *opt[bool] { return &h.Monotonic }, "Protection against replay: by clocks that agree, or by values that only rise."),
		schema.Inherited("mode", schema.Choice("enforce|permissive|receive-only", map[string]model.HMACMode{
			"enforce": model.HMACEnforce, "permissive": model.HMACPermissive, "receive-only": model.HMACReceiveOnly}),
			func(h *HMAC) *opt[model.HMACMode] { return &h.Mode },
			"Adverts without a trailer are dropped, accepted, or accepted and our own are such."),
	}
})

// readHMACKey takes a key of auth_hmac. Its text never reaches a message.
func readHMACKey(h *HMAC, n *syntax.Node, r *source.Report) {
	if len(n.Args) < 2 {
		r.Errorf(n.At(), "auth_hmac key: an id and a key are needed - ignoring")
		return
	}
	id, err := schema.ParseInt(n.Args[0].Text, 1, 255)
	if err != nil {
		r.Errorf(n.Args[0].At, "auth_hmac key id: %v - ignoring", err)
		return
	}
	for _, other := range h.Keys {
		if other.V.ID == id {
			r.Errorf(n.Args[0].At, "auth_hmac key %d is already specified - ignoring", id)
			return
		}
	}
	at, k := n.Args[1].At, hmacKey{id, parseSecret(n.Args[1].Text)}
	if k.File == "" {
		if k.Text, err = parseHMACKey(string(k.Text)); err != nil {
			r.Errorf(at, "auth_hmac key %d %v - ignoring", id, err)
			return
		}
	}
	h.Keys = append(h.Keys, opt[hmacKey]{V: k, At: at})
}

// parseHMACKey returns the key that the text stands for. The error goes on from the key's name, and says nothing of its text.
func parseHMACKey(text string) (model.Secret, error) {
	key := model.Secret(text)
	if digits, ok := strings.CutPrefix(text, "hex:"); ok {
		var err error
		if key, err = hex.DecodeString(digits); err != nil {
			return nil, errors.New("has a bad hexadecimal digit")
		}
	}
	if len(key) < 32 || len(key) > 64 {
		return nil, fmt.Errorf("has %d bytes, not 32 to 64", len(key))
	}
	return key, nil
}

// hmac settles auth_hmac. The window is left to interval.
func (res *resolver) hmac(i *Instance, out *model.Instance, say sayer) {
	conf := &i.HMAC
	if len(conf.Keys) == 0 && !conf.Active.IsSet() {
		return
	}
	h := model.HMAC{Window: conf.Window.V, Monotonic: conf.Monotonic.V, Mode: conf.Mode.V}
	lost := false
	for _, k := range conf.Keys {
		key := k.V.Text
		if k.V.File != "" {
			var ok bool
			if key, ok = res.keyFile(i, k, say); !ok {
				lost = lost || k.V.ID == conf.Active.V
				continue
			}
		}
		h.Keys = append(h.Keys, model.HMACKey{ID: uint8(k.V.ID), Key: key})
		if k.V.ID == conf.Active.V {
			h.Active = uint8(k.V.ID)
		}
	}
	switch {
	case lost:
		// Differs from keepalived: adverts without the trailer that peers wait for would make two masters, so the instance stays in FAULT.
		out.ConfigFault = "the key of auth_hmac cannot be read"
		return
	case !h.On():
		say(i.At, "auth_hmac has no usable active_key - no HMAC is used")
		return
	case out.Strict && h.Mode != model.HMACEnforce:
		say(conf.Mode.At, "strict mode allows only auth_hmac mode enforce - using it")
		h.Mode = model.HMACEnforce
	}
	out.HMAC = h
}

// keyFile reads a key of auth_hmac from its file.
func (res *resolver) keyFile(i *Instance, k opt[hmacKey], say sayer) (model.Secret, bool) {
	text, err := res.read(k.V.secret)
	switch {
	case errors.As(err, new(*exposed)):
		res.r.Add(source.Security, k.At, "(%s) auth_hmac: the key %v - ignoring key %d", i.Name, err, k.V.ID)
		return nil, false
	case err != nil:
		say(k.At, "auth_hmac: the key %v - ignoring key %d", err, k.V.ID)
		return nil, false
	}
	key, err := parseHMACKey(string(text))
	if err != nil {
		say(k.At, "auth_hmac key %d in %q %v - ignoring", k.V.ID, k.V.File, err)
		return nil, false
	}
	return key, true
}
