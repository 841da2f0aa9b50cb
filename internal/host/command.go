package host

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/sh"
)

// String is the command as errors and logs show it: a script by its name, then
// the arguments, never the input.
func (c Command) String() string {
	words := c.Argv
	if c.Script.Name != "" {
		words = append([]string{c.Script.Name}, c.Argv...)
	}
	shown := sh.Join(words...)
	if len(shown) > maxShownCommand {
		shown = strings.ToValidUTF8(shown[:maxShownCommand], "") + "…"
	}
	return shown
}

// words is the command as an argument vector. A script travels as an argument
// of sh, so that the input stays free for data.
func (c Command) words() ([]string, error) {
	argv := c.Argv
	if c.Script.Text != "" {
		argv = append([]string{"sh", "-c", c.Script.Text, c.Script.Name}, c.Argv...)
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("an empty command")
	}
	for _, word := range argv {
		if !sh.Valid(word) {
			return nil, fmt.Errorf("an argument of %s contains a NUL byte, which no program can be given: %q", c, word)
		}
	}
	return argv, nil
}
