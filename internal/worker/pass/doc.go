// Package pass is the two ends of a sync pass. Serve runs on the old host: it
// lists the trees below its roots and reads files of them, and changes nothing.
// Run runs on the new host: it decides from the source, the target and the base
// what to do, and does it. Between them is a stream of frames.
//
// Neither end believes the other. Serve opens nothing outside its roots. Run
// writes nothing outside its own, whatever it is sent.
//
// It imports of this project the worker's other packages alone.
package pass
