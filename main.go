// Command terraform-provider-cutover serves the cutover provider to Terraform
// or OpenTofu. It is started by them, not by hand.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/cutover-dev/terraform-provider-cutover/internal/provider"
)

// version is set by the release build.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "keep running for a debugger and print how to reattach Terraform to it")
	flag.Parse()

	err := providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{
		Address: "registry.terraform.io/cutover-dev/cutover",
		Debug:   *debug,
	})
	if err != nil {
		log.Fatal(err)
	}
}
