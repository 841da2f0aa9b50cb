package provider

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
	"github.com/cutover-dev/terraform-provider-cutover/internal/hold"
	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/service"
	"github.com/cutover-dev/terraform-provider-cutover/internal/skeleton"
	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost"
)

// hosts are the hosts of the provider's block, as resources look them up.
type hosts struct {
	pool *host.Pool
	// names are all hosts of the block, sorted.
	names []string
	// unresolved says of a host what of it is not known before apply.
	unresolved map[string]string
	// retired are the hosts that are switched off for good.
	retired map[string]bool
	// anything is false when not even the names are known yet.
	anything bool
	// forceDestroy: tunnels go, whatever their retire_when says.
	forceDestroy bool

	// What the resources of a host share, so that they share round trips.
	accounts perHost[*account.Directory]
	homes    perHost[*skeleton.Homes]
	services perHost[*service.Services]
	sites    perHost[*vhost.Sites]
	holds    perHost[*hold.Holds]
}

// errUnresolved is the error of a host some of whose options are not known
// before apply: a machine that the same plan creates, say.
type errUnresolved struct{ name, attribute string }

func (e errUnresolved) Error() string {
	return fmt.Sprintf("host %q cannot be reached yet: its %s is known only after apply. "+
		"Create that machine first (terraform apply -target=…), or let what needs the host depend on it.", e.name, e.attribute)
}

// errRetired is the error of a host that is switched off for good: nothing is
// asked of it.
type errRetired struct{ name string }

func (e errRetired) Error() string {
	return fmt.Sprintf("host %q is retired (retired = true in the provider's block), so nothing is read from it and nothing made on it. "+
		"Take what needs that out of the configuration. If all is to be destroyed, terraform destroy -refresh=false does so without reading first", e.name)
}

// Get returns a host by its name.
func (h *hosts) Get(name string) (host.Host, error) {
	if !h.anything {
		return nil, errUnresolved{name, "whole entry in the provider's hosts"}
	}
	if attribute, ok := h.unresolved[name]; ok {
		return nil, errUnresolved{name, attribute}
	}
	if err := h.check(name); err != nil {
		return nil, fmt.Errorf("%w. A machine that is gone keeps its entry there, with retired = true", err)
	}
	if h.retired[name] {
		return nil, errRetired{name}
	}
	return h.pool.Host(name)
}

// check says whether the provider's block has a host of that name.
func (h *hosts) check(name string) error {
	if !h.anything {
		return nil
	}
	for _, known := range h.names {
		if name == known {
			return nil
		}
	}
	return fmt.Errorf("the provider's block has no host %q; its hosts are: %s", name, quoted(h.names))
}

func quoted(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return `"` + strings.Join(names, `", "`) + `"`
}

// hostModel is one host of the provider's block.
type hostModel struct {
	Address               types.String `tfsdk:"address"`
	Port                  types.Int64  `tfsdk:"port"`
	User                  types.String `tfsdk:"user"`
	PrivateKey            types.String `tfsdk:"private_key"`
	PrivateKeyPath        types.String `tfsdk:"private_key_path"`
	PrivateKeyPassphrase  types.String `tfsdk:"private_key_passphrase"`
	Certificate           types.String `tfsdk:"certificate"`
	Password              types.String `tfsdk:"password"`
	Agent                 types.Bool   `tfsdk:"agent"`
	HostKey               types.List   `tfsdk:"host_key"`
	KnownHostsPath        types.String `tfsdk:"known_hosts_path"`
	InsecureIgnoreHostKey types.Bool   `tfsdk:"insecure_ignore_host_key"`
	Bastions              types.List   `tfsdk:"bastions"`
	Become                *becomeModel `tfsdk:"become"`
	LegacyAlgorithms      types.Bool   `tfsdk:"legacy_algorithms"`
	ConnectTimeout        types.String `tfsdk:"connect_timeout"`
	KeepaliveInterval     types.String `tfsdk:"keepalive_interval"`
	SSHConfigPath         types.String `tfsdk:"ssh_config_path"`
	Retired               types.Bool   `tfsdk:"retired"`
}

type becomeModel struct {
	Method   types.String `tfsdk:"method"`
	Password types.String `tfsdk:"password"`
}

func hostsAttribute() schema.Attribute {
	return schema.MapNestedAttribute{
		Required: true,
		MarkdownDescription: "The machines of the cutover, by the names under which resources refer to them (`host = \"new\"`). " +
			"An empty entry (`old = {}`) is enough where `~/.ssh/config` knows a host of that name. Values may be unknown while planning. " +
			"Every option but `host_key`, `bastions`, `become` and `retired` can also come from the environment: `CUTOVER_HOST_<NAME>_<OPTION>` for one host " +
			"(`CUTOVER_HOST_OLD_PASSWORD`), `CUTOVER_<OPTION>` for all (`CUTOVER_PRIVATE_KEY_PATH`); " +
			"`become` as `…BECOME_METHOD` and `…BECOME_PASSWORD`. What the block says comes first.",
		Validators: []validator.Map{
			mapvalidator.SizeAtLeast(1),
			mapvalidator.KeysAre(stringvalidator.RegexMatches(hostName, "a host's name is letters, digits, '-', '_' and '.', and starts with a letter or digit")),
		},
		NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
			"address": schema.StringAttribute{Optional: true, MarkdownDescription: "Host name, IP address, or an alias of the ssh_config. Default: the host's name in this map."},
			"port": schema.Int64Attribute{Optional: true, MarkdownDescription: "Port of its sshd. Default: what the ssh_config says, else 22.",
				Validators: []validator.Int64{int64validator.Between(1, 65535)}},
			"user":                   schema.StringAttribute{Optional: true, MarkdownDescription: "Login. Default: what the ssh_config says, else your own user name on this machine, as with `ssh`."},
			"private_key":            schema.StringAttribute{Optional: true, Sensitive: true, MarkdownDescription: "Private key, as text in OpenSSH or PEM form."},
			"private_key_path":       schema.StringAttribute{Optional: true, MarkdownDescription: "File with the private key; `~` is your home."},
			"private_key_passphrase": schema.StringAttribute{Optional: true, Sensitive: true, MarkdownDescription: "Passphrase of an encrypted private key."},
			"certificate":            schema.StringAttribute{Optional: true, MarkdownDescription: "OpenSSH certificate that goes with the private key: its text or its file."},
			"password":               schema.StringAttribute{Optional: true, Sensitive: true, MarkdownDescription: "Password of the login, for password and keyboard-interactive authentication. A key is the better choice."},
			"agent":                  schema.BoolAttribute{Optional: true, MarkdownDescription: "Whether to ask the SSH agent for keys. Default: where `SSH_AUTH_SOCK` is set."},
			"host_key": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "The host's public keys (`\"ssh-ed25519 AAAA…\"`), instead of known_hosts: nothing else is then believed.",
				Validators:          []validator.List{listvalidator.SizeAtLeast(1)}},
			"known_hosts_path": schema.StringAttribute{Optional: true, MarkdownDescription: "File of known host keys, hashed entries and `@cert-authority` lines included. A line that cannot be read is skipped, and named in the log at level `DEBUG`. Default: what the ssh_config says, else `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`."},
			"insecure_ignore_host_key": schema.BoolAttribute{Optional: true,
				MarkdownDescription: "**Dangerous.** Accepts any host key, so anybody on the way can be the host and get all that is sent to it. For throw-away machines only."},
			"bastions": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Names of other hosts of this map to go through, in order, the first being the nearest to you. Default: `ProxyJump` or `ProxyCommand` of the ssh_config."},
			"become": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "How to get root's rights where the login is another.",
				Attributes: map[string]schema.Attribute{
					"method": schema.StringAttribute{Optional: true, MarkdownDescription: "`sudo` or `doas`. Default: `sudo`.",
						Validators: []validator.String{stringvalidator.OneOf("sudo", "doas")}},
					"password": schema.StringAttribute{Optional: true, Sensitive: true, MarkdownDescription: "Password for it, where it asks for one. It goes over standard input, never onto a command line."},
				}},
			"legacy_algorithms": schema.BoolAttribute{Optional: true, MarkdownDescription: "Also offer SHA-1 signatures and the key exchanges and ciphers of long ago, for an old host's old sshd. Default: `false`."},
			"connect_timeout": schema.StringAttribute{Optional: true, MarkdownDescription: "How long to try to connect, as in `\"15s\"`. Default: `15s`.",
				Validators: []validator.String{duration{}}},
			"keepalive_interval": schema.StringAttribute{Optional: true, MarkdownDescription: "How often to ask a silent host whether it is still there; after three questions without an answer the connection is given up. Default: `15s`.",
				Validators: []validator.String{duration{}}},
			"ssh_config_path": schema.StringAttribute{Optional: true, MarkdownDescription: "The ssh_config to read, or `none`. Default: `~/.ssh/config` and `/etc/ssh/ssh_config`. `ssh -G` reads it, so `Match`, `Include` and `ProxyCommand` count as with `ssh`; `RevokedHostKeys` does, too. " +
				"Where OpenSSH is not installed, a line of which only `ssh` knows the meaning is an error."},
			"retired": schema.BoolAttribute{Optional: true, MarkdownDescription: "The machine is switched off for good while Terraform still has resources on it. Nothing is asked of it any more: " +
				"what was on it alone leaves the state, with a warning; a tunnel or a pass stays, and destroying it cleans up its other host. " +
				"What would read from the machine or make something on it is an error, so that has to go from the configuration; " +
				"`terraform destroy -refresh=false` destroys everything without reading first. " +
				"**Whatever is still on the machine stays there**, should it ever be switched on again. Default: `false`."},
		}},
	}
}

// newHosts makes hosts of the provider's block. Nothing is connected yet.
func newHosts(ctx context.Context, block types.Map) (*hosts, diag.Diagnostics) {
	var diags diag.Diagnostics
	known := &hosts{unresolved: map[string]string{}, retired: map[string]bool{}, anything: !block.IsUnknown()}
	if block.IsUnknown() {
		return known, diags
	}
	models := map[string]hostModel{}
	for name, value := range block.Elements() {
		known.names = append(known.names, name)
		object, ok := value.(types.Object)
		if !ok || object.IsUnknown() {
			known.unresolved[name] = "whole entry"
			continue
		}
		if isRetired(object) {
			known.retired[name] = true // what else is said of it is of no use, and need not be known
			continue
		}
		if attribute := firstUnknown(object); attribute != "" {
			known.unresolved[name] = attribute
			continue
		}
		var model hostModel
		diags.Append(object.As(ctx, &model, objectAsOptions)...)
		models[name] = model
	}
	sort.Strings(known.names)
	if diags.HasError() {
		return known, diags
	}
	var configs []host.Config
	for _, name := range known.names {
		if _, unresolved := known.unresolved[name]; unresolved || known.retired[name] {
			continue
		}
		at := path.Root("hosts").AtMapKey(name)
		config, missing, err := resolveHost(ctx, name, models, known, nil)
		if missing != "" {
			known.unresolved[name] = "bastion " + missing
			continue
		}
		if err == nil {
			err = config.Validate()
		}
		if err != nil {
			diags.AddAttributeError(at, "Invalid host", fmt.Sprintf("Host %q: %s", name, err))
			continue
		}
		if config.InsecureIgnoreHostKey {
			diags.AddAttributeWarning(at.AtName("insecure_ignore_host_key"), "Host key not checked",
				fmt.Sprintf("Whoever answers under the address of host %q is believed to be it. Set host_key or known_hosts_path instead.", name))
		}
		configs = append(configs, config)
	}
	known.pool = host.NewPool(configs...)
	return known, diags
}

// isRetired reports whether a host's entry says for certain that it is.
func isRetired(entry types.Object) bool {
	retired, ok := entry.Attributes()["retired"].(types.Bool)
	return ok && retired.ValueBool()
}

// resolveHost is the configuration of one host with its bastions. missing
// names a bastion that is not known before apply.
func resolveHost(ctx context.Context, name string, models map[string]hostModel, known *hosts, trail []string) (config host.Config, missing string, err error) {
	for _, earlier := range trail {
		if earlier == name {
			return config, "", fmt.Errorf("its bastions lead back to itself: %s", quoted(append(trail, name)))
		}
	}
	if known.retired[name] {
		return config, "", fmt.Errorf("its bastion %q is retired; name another one in bastions, or none", name)
	}
	model, ok := models[name]
	if !ok {
		if _, unresolved := known.unresolved[name]; unresolved {
			return config, name, nil
		}
		return config, "", known.check(name)
	}
	config, err = model.config(name)
	if err != nil {
		return config, "", err
	}
	config.Log = func(ctx context.Context, message string, fields map[string]any) { tflog.Debug(ctx, message, fields) }
	config.HostKeys = stringsOf(model.HostKey)
	for _, bastion := range stringsOf(model.Bastions) {
		hop, missing, err := resolveHost(ctx, bastion, models, known, append(trail, name))
		if err != nil || missing != "" {
			return config, missing, err
		}
		config.Bastions = append(config.Bastions, hop)
	}
	return config, "", nil
}

// config is the model with the environment behind it, bastions not resolved.
func (m hostModel) config(name string) (host.Config, error) {
	env := environment{name}
	config := host.Config{
		Name:                 name,
		Address:              env.own("ADDRESS", m.Address),
		User:                 env.text("USER", m.User),
		PrivateKey:           env.text("PRIVATE_KEY", m.PrivateKey),
		PrivateKeyPath:       env.text("PRIVATE_KEY_PATH", m.PrivateKeyPath),
		PrivateKeyPassphrase: env.text("PRIVATE_KEY_PASSPHRASE", m.PrivateKeyPassphrase),
		Certificate:          env.text("CERTIFICATE", m.Certificate),
		Password:             env.text("PASSWORD", m.Password),
		KnownHostsPath:       env.text("KNOWN_HOSTS_PATH", m.KnownHostsPath),
		SSHConfigPath:        env.text("SSH_CONFIG_PATH", m.SSHConfigPath),
	}
	become := becomeModel{}
	if m.Become != nil {
		become = *m.Become
		if become.Method.IsNull() {
			config.Become.Method = "sudo"
		}
	}
	if method := env.text("BECOME_METHOD", become.Method); method != "" {
		config.Become.Method = method
	}
	config.Become.Password = env.text("BECOME_PASSWORD", become.Password)

	var err error
	read := func(e error) {
		if err == nil {
			err = e
		}
	}
	port, e := env.number("PORT", m.Port)
	read(e)
	config.Port = int(port)
	config.InsecureIgnoreHostKey, e = env.truth("INSECURE_IGNORE_HOST_KEY", m.InsecureIgnoreHostKey)
	read(e)
	config.LegacyAlgorithms, e = env.truth("LEGACY_ALGORITHMS", m.LegacyAlgorithms)
	read(e)
	if env.has("AGENT") || !m.Agent.IsNull() {
		agent, e := env.truth("AGENT", m.Agent)
		read(e)
		config.Agent = &agent
	}
	config.ConnectTimeout, e = env.span("CONNECT_TIMEOUT", m.ConnectTimeout)
	read(e)
	config.KeepaliveInterval, e = env.span("KEEPALIVE_INTERVAL", m.KeepaliveInterval)
	read(e)
	return config, err
}

// environment reads a host's options from environment variables.
type environment struct{ host string }

// lookup returns the variable for the host, or the one for all hosts, and its name.
func (e environment) lookup(option string) (value, name string) {
	own := "CUTOVER_HOST_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(e.host)) + "_" + option
	for _, name := range []string{own, "CUTOVER_" + option} {
		if value := os.Getenv(name); value != "" {
			return value, name
		}
	}
	return "", own
}

func (e environment) has(option string) bool { value, _ := e.lookup(option); return value != "" }

func (e environment) text(option string, set types.String) string {
	if !set.IsNull() {
		return set.ValueString()
	}
	value, _ := e.lookup(option)
	return value
}

// own is text for an option that cannot be the same for all hosts.
func (e environment) own(option string, set types.String) string {
	if value, name := e.lookup(option); set.IsNull() && strings.HasPrefix(name, "CUTOVER_HOST_") {
		return value
	}
	return set.ValueString()
}

func (e environment) number(option string, set types.Int64) (int64, error) {
	if !set.IsNull() {
		return set.ValueInt64(), nil
	}
	value, name := e.lookup(option)
	if value == "" {
		return 0, nil
	}
	var number int64
	if _, err := fmt.Sscanf(value, "%d", &number); err != nil || number < 1 || number > 65535 {
		return 0, fmt.Errorf("environment variable %s is %q, not a port from 1 to 65535", name, value)
	}
	return number, nil
}

func (e environment) truth(option string, set types.Bool) (bool, error) {
	if !set.IsNull() {
		return set.ValueBool(), nil
	}
	value, name := e.lookup(option)
	switch strings.ToLower(value) {
	case "", "0", "false", "no":
		return false, nil
	case "1", "true", "yes":
		return true, nil
	}
	return false, fmt.Errorf("environment variable %s is %q, neither true nor false", name, value)
}

func (e environment) span(option string, set types.String) (time.Duration, error) {
	value, name := set.ValueString(), option
	if set.IsNull() {
		value, name = e.lookup(option)
	}
	if value == "" {
		return 0, nil
	}
	span, err := time.ParseDuration(value)
	if err != nil || span <= 0 {
		return 0, fmt.Errorf("%s is %q, not a duration such as 15s", strings.ToLower(name), value)
	}
	return span, nil
}
