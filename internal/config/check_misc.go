package config

import (
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
)

// miscOptions are those of MISC_CHECK.
type miscOptions struct {
	Path    opt[Command]
	Timeout opt[time.Duration]
	Dynamic opt[bool]
	User    opt[account]
}

var miscTable = schema.TableOf(func() crows {
	return concat(everyChecker(), crows{
		schema.Inherited("misc_path", orEmpty(commandOnly), func(c *Checker) *opt[Command] { return &c.Misc.Path },
			"The script; a success exits with 0.").Quoted(),
		schema.Inherited("misc_timeout", schema.WholeSeconds(0, 4294), func(c *Checker) *opt[time.Duration] { return &c.Misc.Timeout },
			"Limit of a run; 0: delay_loop of the virtual server."),
		schema.Flag("misc_dynamic", true, func(c *Checker) *opt[bool] { return &c.Misc.Dynamic },
			"Exit statuses of 2 and above are successes with the weight of that number less 2."),
		schema.Inherited("user", filled(userGroup), func(c *Checker) *opt[account] { return &c.Misc.User },
			"Who runs the script; default script_user.").Lenient(),
	})
})
