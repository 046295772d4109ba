// Check one of our audit logs with other people's code: golang.org/x/mod/sumdb/note for signatures, golang.org/x/mod/sumdb/tlog and
// transparency-dev/merkle for the tree.
//
//	go run . LOG_VKEY CHECKPOINT ENTRIES PROOF OLD_CHECKPOINT CONSISTENCY
//
// ENTRIES: every entry in base64, one a line. PROOF: a .tlog-proof file. CONSISTENCY: hashes in base64, one a line.
package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	return value
}

func decoded(line string) []byte {
	return must(base64.StdEncoding.DecodeString(line))
}

func lines(data []byte) []string {
	text := strings.TrimSuffix(string(data), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func decodedLines(data []byte) [][]byte {
	var found [][]byte
	for _, line := range lines(data) {
		found = append(found, decoded(line))
	}
	return found
}

// opened checks the log's signature and returns size and root.
func opened(vkey string, data []byte) (uint64, []byte) {
	verifier := must(note.NewVerifier(vkey))
	found := must(note.Open(data, note.VerifierList(verifier)))
	text := lines([]byte(found.Text))
	if len(text) != 3 || text[0] != verifier.Name() {
		must(0, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), found.Text))
	}
	return must(strconv.ParseUint(text[1], 10, 64)), decoded(text[2])
}

func main() {
	vkey, arguments := os.Args[1], os.Args[2:]
	var files [][]byte
	for _, path := range arguments {
		files = append(files, must(os.ReadFile(path)))
	}
	size, root := opened(vkey, files[0])

	// the whole tree, by the code of Go's checksum database
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	entries := decodedLines(files[1])
	for index, entry := range entries {
		stored = append(stored, must(tlog.StoredHashes(int64(index), entry, reader))...)
	}
	if uint64(len(entries)) != size {
		must(0, fmt.Errorf("%d entries, but the checkpoint says %d", len(entries), size))
	}
	if whole := must(tlog.TreeHash(int64(size), reader)); string(whole[:]) != string(root) {
		must(0, fmt.Errorf("the tree of the entries has root %x, but %x is signed", whole, root))
	}

	// a proof file
	head, checkpoint, _ := strings.Cut(string(files[2]), "\n\n")
	fields := strings.Split(head, "\n")
	proofSize, proofRoot := opened(vkey, []byte(checkpoint))
	entry := decoded(strings.TrimPrefix(fields[1], "extra "))
	index := must(strconv.ParseUint(strings.TrimPrefix(fields[2], "index "), 10, 64))
	var path [][]byte
	for _, line := range fields[3:] {
		path = append(path, decoded(line))
	}
	must(0, proof.VerifyInclusion(rfc6962.DefaultHasher, index, proofSize, rfc6962.DefaultHasher.HashLeaf(entry), path, proofRoot))

	// growth
	oldSize, oldRoot := opened(vkey, files[3])
	must(0, proof.VerifyConsistency(rfc6962.DefaultHasher, oldSize, size, decodedLines(files[4]), oldRoot, root))
	fmt.Printf("ok %d entries, entry %d of %d, grown from %d\n", size, index, proofSize, oldSize)
}
