// Command pace measures how fast this machine is, before the tests begin. It says so on standard error, and
// prints the factor by which tests lengthen their time limits:
//
//	CUTOVER_TEST_PACE=$(go run ./internal/tools/pace)
package main

import (
	"fmt"
	"os"

	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

func main() {
	median, factor := pace.Measure()
	fmt.Fprintln(os.Stderr, pace.String(median, factor))
	fmt.Printf("%.2f\n", factor)
}
