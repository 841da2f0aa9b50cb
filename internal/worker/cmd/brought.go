//go:build linux

package main

import (
	"context"
	"errors"
	"path"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// brought says how much the passes of this host's chains have brought to directories.
// Where several chains have, the one that was used last counts.
func brought(_ context.Context, q order.BroughtQuestion) (order.BroughtAnswer, error) {
	boot, err := bootID()
	if err != nil {
		return order.BroughtAnswer{}, err
	}
	bases, err := state.Bases()
	if err != nil {
		return order.BroughtAnswer{}, err
	}
	answer := order.BroughtAnswer{Amounts: map[string]order.Amount{}}
	for _, each := range bases {
		base, err := tree.ReadBase(each.File, boot)
		if errors.Is(err, tree.ErrInUse) {
			continue // a pass is on its way: what it has brought so far is no measure
		}
		if err != nil {
			return answer, err
		}
		amounts, err := amountsOf(base, each.Target, q.Paths)
		if err = errors.Join(err, base.Close()); err != nil {
			return answer, err
		}
		for path, amount := range amounts {
			answer.Amounts[path] = amount
		}
	}
	return answer, nil
}

// amountsOf adds up what a base has of directories of a target.
func amountsOf(base *tree.Base, target string, directories []string) (map[string]order.Amount, error) {
	asked := map[string]bool{}
	for _, directory := range directories {
		asked[path.Clean(directory)] = true
	}
	amounts := map[string]order.Amount{}
	var piece tree.Brought
	for _, known := range base.Known() {
		// Of directories inside each other every one has it.
		var within []string
		for at := path.Join(target, known); ; at = path.Dir(at) {
			if asked[at] {
				within = append(within, at)
			}
			if at == "/" || at == "." {
				break
			}
		}
		if len(within) == 0 {
			continue
		}
		var amount order.Amount
		for _, each := range base.Pieces(known) {
			if err := base.Load(known, each, &piece); err != nil {
				return nil, err
			}
			for i := range piece.Len() {
				source := &piece.Entry(i).Source
				if source.IsDir() {
					continue
				}
				amount.Files++
				if source.IsRegular() {
					amount.Bytes += source.Size
				}
			}
		}
		for _, directory := range within {
			sum := amounts[directory]
			amounts[directory] = order.Amount{Files: sum.Files + amount.Files, Bytes: sum.Bytes + amount.Bytes}
		}
	}
	return amounts, nil
}
