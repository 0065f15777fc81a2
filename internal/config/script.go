package config

import (
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// Command is a script as written: CMD [USER [GROUP]].
type Command struct {
	Args  []string
	User  string // empty: the default of that place
	Group string // empty: the user's; a leading colon asks for supplementary groups
}

// command is a script keyword's value; its row must be Quoted.
var command = schema.Kind[Command]{Usage: "CMD [USER [GROUP]]", Parse: func(w []source.Word) (Command, error) {
	if len(w) == 0 {
		return Command{}, schema.ErrNoWord
	}
	args, err := source.SplitCommand(w[0].Text)
	if err != nil {
		return Command{}, err
	}
	c := Command{Args: args} // further words are ignored, as is a command that is empty
	if len(args) > 0 && args[0] == "" {
		c.Args = nil
	}
	if len(w) > 1 {
		c.User = w[1].Text
	}
	if len(w) > 2 {
		c.Group = w[2].Text
	}
	return c, nil
}}

// commandOnly takes the command and drops all further words, as vrrp_script and MISC_CHECK do.
var commandOnly = schema.Kind[Command]{Usage: `"CMD [ARG…]"`, Parse: func(w []source.Word) (Command, error) {
	return command.Parse(w[:min(1, len(w))])
}}

// account is a user and a group as written.
type account struct{ User, Group string }

func (a account) String() string { return strings.TrimSpace(a.User + " " + a.Group) }

var userGroup = schema.Kind[account]{Usage: "USER [GROUP]", Parse: func(w []source.Word) (account, error) {
	switch len(w) { // further words are ignored
	case 0:
		return account{}, schema.ErrNoWord
	case 1:
		return account{User: w[0].Text}, nil
	}
	return account{w[0].Text, w[1].Text}, nil
}}

// fifo is a named pipe as written: PATH [USER [GROUP]].
type fifo struct {
	Path string
	account
}

var fifoKind = schema.Kind[fifo]{Usage: "PATH [USER [GROUP]]", Parse: func(w []source.Word) (fifo, error) {
	if len(w) == 0 {
		return fifo{}, schema.ErrNoWord
	}
	f := fifo{Path: w[0].Text}
	if len(w) > 1 {
		f.User = w[1].Text
	}
	if len(w) > 2 {
		f.Group = w[2].Text
	}
	return f, nil
}}
