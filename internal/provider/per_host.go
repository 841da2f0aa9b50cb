package provider

import (
	"sync"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

// perHost keeps one T for each host, for what all resources of a host share.
// Its zero value is empty.
type perHost[T any] struct {
	mu   sync.Mutex
	made map[string]T
}

// of returns what is kept for h, made by create when it is first asked for.
func (p *perHost[T]) of(h host.Host, create func(host.Host) T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, ok := p.made[h.Name()]
	if !ok {
		kept = create(h)
		if p.made == nil {
			p.made = map[string]T{}
		}
		p.made[h.Name()] = kept
	}
	return kept
}
