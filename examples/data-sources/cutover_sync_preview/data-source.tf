# What would the final pass have to copy now? The arguments are those of the passes.
data "cutover_sync_preview" "final" {
  from     = cutover_sync_pass.first.from
  to       = cutover_sync_pass.first.to
  paths    = cutover_sync_pass.first.paths
  targets  = cutover_sync_pass.first.targets
  excludes = cutover_sync_pass.first.excludes
}

# Are there only minor changes for the next step?
check "minor_changes" {
  assert {
    condition     = data.cutover_sync_preview.final.changes < 5000
    error_message = "${data.cutover_sync_preview.final.changes} changes, ${data.cutover_sync_preview.final.bytes} bytes: run a warm pass first."
  }
  assert {
    condition     = data.cutover_sync_preview.final.kinds["conflicts"].count == 0
    error_message = "The new host has its own of ${join(", ", data.cutover_sync_preview.final.kinds["conflicts"].paths)}."
  }
}
