package provider

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/cutover-dev/terraform-provider-cutover/internal/dnscheck"
	"github.com/cutover-dev/terraform-provider-cutover/internal/mail"
	"github.com/cutover-dev/terraform-provider-cutover/internal/vhost"
)

type dnsPropagationModel struct {
	Host          types.String   `tfsdk:"host"`
	Names         types.Set      `tfsdk:"names"`
	Types         types.Set      `tfsdk:"types"`
	Former        types.Set      `tfsdk:"former_addresses"`
	Expected      types.Set      `tfsdk:"expected_addresses"`
	Resolvers     types.Set      `tfsdk:"resolvers"`
	Authoritative types.Bool     `tfsdk:"authoritative"`
	WaitFor       types.String   `tfsdk:"wait_for"`
	Interval      types.String   `tfsdk:"interval"`
	Timeouts      timeouts.Value `tfsdk:"timeouts"`

	Asked      []types.String   `tfsdk:"asked"`
	Complete   types.Bool       `tfsdk:"complete"`
	CompleteBy types.String     `tfsdk:"complete_by"`
	Behind     []types.String   `tfsdk:"behind"`
	Answers    []dnsAnswerModel `tfsdk:"answers"`
}

type dnsAnswerModel struct {
	Name          types.String   `tfsdk:"name"`
	Type          types.String   `tfsdk:"type"`
	Server        types.String   `tfsdk:"server"`
	Authoritative types.Bool     `tfsdk:"authoritative"`
	State         types.String   `tfsdk:"state"`
	Addresses     []types.String `tfsdk:"addresses"`
	Through       []types.String `tfsdk:"through"`
	TTL           types.Int64    `tfsdk:"ttl"`
	Error         types.String   `tfsdk:"error"`
}

// dnsInterval is how long to wait between two rounds of questions, by default.
const dnsInterval = 30 * time.Second

func newDNSPropagationDataSource() datasource.DataSource {
	return &dataSource[dnsPropagationModel]{
		name:     "dns_propagation",
		noun:     "DNS propagation",
		timeout:  2 * time.Minute,
		schema:   dnsPropagationSchema,
		timeouts: func(m *dnsPropagationModel) timeouts.Value { return m.Timeouts },
		read:     readDNSPropagation,
	}
}

func dnsPropagationSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Whether names have moved to the new host's addresses everywhere: who still gives the old one, and for how long.\n\n" +
			"The servers that are authoritative for each name are asked one by one, and the resolvers that you name: a resolver goes on to give an address until its time to live is over, whatever the zone says by then. " +
			"The questions come from the machine that Terraform runs on. What a server does wrong (it is silent, refuses, answers `SERVFAIL` or another address) is said of that server, and the others are asked all the same.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Host of the provider's `hosts` whose names to ask for: those of its sites and its mail domains. `names` comes on top.",
			},
			"names": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Domain names to ask for. Default: those of `host`, of which one of the two is needed.",
				Validators:          append(eachIn("a domain name", dnscheck.ValidName), setvalidator.AtLeastOneOf(path.MatchRoot("names"), path.MatchRoot("host"))),
			},
			"types": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Types of records: `A`, `AAAA`, `MX` and `NS`. Of `MX` and `NS` the addresses of the servers count; a name without `MX` takes its mail itself. Default: `A`, `AAAA` and `MX`.",
				Validators:          []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.ValueStringsAre(stringvalidator.OneOf(dnscheck.Types...))},
			},
			"former_addresses": schema.SetAttribute{
				Required: true, ElementType: types.StringType,
				MarkdownDescription: "IP addresses of the old host, under which clients know it.",
				Validators:          eachIn("an IP address", validAddress),
			},
			"expected_addresses": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "IP addresses that the names are to have. Default: any but `former_addresses`.",
				Validators:          eachIn("an IP address", validAddress),
			},
			"resolvers": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "IP addresses of resolvers to ask, with a port where it is not 53: your own, those of your users' providers, public ones. Default: those of this machine.",
				Validators:          eachIn("the address of a resolver", dnscheck.ValidResolver),
			},
			"authoritative": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to ask the authoritative servers as well, which are reached on port 53. Default: `true`.",
			},
			"wait_for": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "`complete` asks again until all names have moved everywhere, as long as `timeouts.read` allows; each round is in Terraform's log. Default: ask once.",
				Validators:          []validator.String{stringvalidator.OneOf("complete")},
			},
			"interval": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "How long `wait_for` waits between two rounds. Default: `30s`.",
				Validators:          []validator.String{duration{}},
			},
			"asked":       computedTexts("Names that were asked for, sorted."),
			"complete":    schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether every server gives new addresses alone."},
			"complete_by": schema.StringAttribute{Computed: true, MarkdownDescription: "When the last of the resolvers will have forgotten a former address, in UTC (RFC 3339). Null where it is complete, where an authoritative server gives the former address itself, and where a server gave no answer."},
			"behind":      computedTexts("What is not as it should be, a sentence for each name and server."),
			"answers": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "All answers.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"name":          schema.StringAttribute{Computed: true, MarkdownDescription: "Name that was asked for."},
					"type":          schema.StringAttribute{Computed: true, MarkdownDescription: "Type of the records."},
					"server":        schema.StringAttribute{Computed: true, MarkdownDescription: "Who was asked: a resolver's address, or an authoritative server's name."},
					"authoritative": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether that is an authoritative server."},
					"state":         schema.StringAttribute{Computed: true, MarkdownDescription: "`moved`, `former` (a former address is among them), `elsewhere` (an address is neither), `absent` (there is no such record) or `failed`."},
					"addresses":     computedTexts("IP addresses that the name leads to."),
					"through":       computedTexts("Names that it leads through: by CNAME, or mail and name servers."),
					"ttl":           schema.Int64Attribute{Computed: true, MarkdownDescription: "How long this answer may still be given, in seconds."},
					"error":         schema.StringAttribute{Computed: true, MarkdownDescription: "Why it is `failed`; else null."},
				}},
			},
			"timeouts": readTimeoutsAttribute(ctx),
		},
	}
}

func validAddress(text string) error {
	_, err := netip.ParseAddr(text)
	return err
}

// check is what the model asks for.
func (m *dnsPropagationModel) check() (dnscheck.Check, error) {
	c := dnscheck.Check{
		Names: stringsOf(m.Names), Types: stringsOf(m.Types), Resolvers: stringsOf(m.Resolvers),
		Authoritative: m.Authoritative.IsNull() || m.Authoritative.ValueBool(),
	}
	if len(c.Types) == 0 {
		c.Types = []string{"A", "AAAA", "MX"}
	}
	for _, each := range []struct {
		from types.Set
		to   *[]netip.Addr
	}{{m.Former, &c.Former}, {m.Expected, &c.Expected}} {
		for _, text := range stringsOf(each.from) {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return c, err
			}
			*each.to = append(*each.to, address.Unmap())
		}
	}
	if len(c.Resolvers) > 0 {
		return c, nil
	}
	var err error
	if c.Resolvers, err = dnscheck.SystemResolvers(); err == nil && len(c.Resolvers) == 0 {
		err = errors.New("this machine uses no resolver")
	}
	if err != nil {
		err = fmt.Errorf("%w. Set resolvers", err)
	}
	return c, err
}

// namesOf are the names of a host's sites, and the domains whose mail it takes. Names
// with a pattern, and those that DNS cannot have, are left out.
func namesOf(ctx context.Context, known *hosts, name string) ([]string, error) {
	h, err := known.Get(name)
	if err != nil {
		return nil, err
	}
	_, sites, _, err := known.sites.of(h, vhost.NewSites).List(ctx, "")
	if err != nil && !errors.Is(err, vhost.ErrNoServer) {
		return nil, err
	}
	found, err := mail.Inspect(ctx, h)
	if err != nil {
		return nil, err
	}
	names := found.Domains
	for _, site := range sites {
		for _, each := range append([]string{site.ServerName}, site.Aliases...) {
			if strings.Contains(each, ".") && !strings.Contains(each, "*") && dnscheck.ValidName(each) == nil {
				names = append(names, strings.ToLower(each))
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("host %q has no site with a name and no mail domain: set names", name)
	}
	return names, nil
}

func readDNSPropagation(ctx context.Context, known *hosts, m *dnsPropagationModel) error {
	c, err := m.check()
	if err != nil {
		return err
	}
	if !m.Host.IsNull() {
		names, err := namesOf(ctx, known, m.Host.ValueString())
		if err != nil {
			return at(path.Root("host"), err)
		}
		c.Names = append(c.Names, names...)
	}
	slices.Sort(c.Names)
	c.Names = slices.Compact(c.Names)
	m.Asked = texts(c.Names)
	if err := c.Validate(); err != nil {
		return err
	}
	var report dnscheck.Report
	if m.WaitFor.IsNull() {
		report, err = c.Do(ctx)
	} else {
		report, err = c.Wait(ctx, span(m.Interval, dnsInterval), func(r dnscheck.Report) {
			tflog.Info(ctx, fmt.Sprintf("DNS: %d of %d answers are not as they should be", len(r.Behind), len(r.Answers)), map[string]any{"behind": r.Behind})
		})
		if err != nil && len(report.Behind) > 0 && errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("the names have not moved everywhere:\n  - %s", strings.Join(first(report.Behind, 20), "\n  - "))
		}
	}
	if err != nil {
		return err
	}
	m.Complete, m.CompleteBy, m.Behind = types.BoolValue(report.Complete), moment(report.By), texts(report.Behind)
	m.Answers = []dnsAnswerModel{}
	for _, a := range report.Answers {
		answer := dnsAnswerModel{
			Name: types.StringValue(a.Name), Type: types.StringValue(a.Type), Server: types.StringValue(a.Server),
			Authoritative: types.BoolValue(a.Authoritative), State: types.StringValue(string(a.State)),
			Addresses: []types.String{}, Through: texts(a.Targets), TTL: types.Int64Value(int64(a.TTL.Seconds())), Error: textOrNull(a.Error),
		}
		for _, address := range a.Addresses {
			answer.Addresses = append(answer.Addresses, types.StringValue(address.String()))
		}
		m.Answers = append(m.Answers, answer)
	}
	return nil
}

// texts are values of a list, which is empty and not null where there are none.
func texts(all []string) []types.String {
	values := []types.String{}
	for _, each := range all {
		values = append(values, types.StringValue(each))
	}
	return values
}

// first are the first n of some lines, and how many more there are.
func first(lines []string, n int) []string {
	if len(lines) <= n {
		return lines
	}
	return append(slices.Clone(lines[:n]), fmt.Sprintf("and %d more", len(lines)-n))
}
