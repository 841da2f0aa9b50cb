// Command terraform-provider-cutover serves the cutover provider to Terraform
// or OpenTofu. It is started by them, not by hand.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"runtime/debug"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/cutover-dev/terraform-provider-cutover/internal/provider"
)

// version is set by the release build.
var version = "dev"

func main() {
	debugger := flag.Bool("debug", false, "keep running for a debugger and print how to reattach Terraform to it")
	flag.Parse()
	forThousands()
	if !*debugger {
		provider.EndWithTerraform()
	}

	err := providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{
		Address: "registry.terraform.io/cutover-dev/cutover",
		Debug:   *debugger,
	})
	if err != nil {
		log.Fatal(err)
	}
}

// forThousands leaves out what takes as long as the work itself in a plan of
// thousands of resources. The framework writes its trace as JSON for Terraform
// to read and throw away where nobody asked for a log: a quarter of the
// provider's time, and as much of Terraform's. Another quarter is the collector,
// in a process that lives for a minute and holds little.
func forThousands() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
	}
	for _, setting := range os.Environ() {
		if strings.HasPrefix(setting, "TF_LOG") {
			return // somebody wants to read a log
		}
	}
	for _, logger := range []string{"TF_LOG_SDK", "TF_LOG_SDK_PROTO", "TF_LOG_SDK_FRAMEWORK"} {
		os.Setenv(logger, "ERROR")
	}
}
