// Verify a bundle and a log with Go's golang.org/x/mod/sumdb, which shares nothing with this project.
//
//	go run . bundle FILE VKEY     checkpoints, every event's inclusion, the older checkpoint's consistency
//	go run . log FOLDER VKEY      a log's static files: checkpoint, every entry through the tiles, the root
//
// Debian has what it needs: apt install golang-go golang-golang-x-mod-dev; then GO111MODULE=off
// GOPATH=/usr/share/gocode. Prints one line for everything that holds; exit code 1 with the reason otherwise.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type line struct {
	Type  string          `json:"type"`
	Note  string          `json:"note"`
	Since string          `json:"since"`
	Proof []string        `json:"proof"`
	List  []string        `json:"list"`
	Log   int             `json:"log"`
	Index int64           `json:"index"`
	Path  []int           `json:"path"`
	Body  json.RawMessage `json:"body"`
}

func must(err error, what string) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func hash(text string) tlog.Hash {
	raw, err := base64.StdEncoding.DecodeString(text)
	must(err, "hash")
	var h tlog.Hash
	if copy(h[:], raw) != len(h) || len(raw) != len(h) {
		must(fmt.Errorf("%d bytes", len(raw)), "hash")
	}
	return h
}

func checkpoint(text, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	must(err, "key")
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	must(err, "checkpoint")
	parts := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(parts[1], 10, 64)
	must(err, "size")
	return tlog.Tree{N: size, Hash: hash(parts[2])}
}

func bundle(file, vkey string) {
	opened, err := os.Open(file)
	must(err, "bundle")
	scanner := bufio.NewScanner(opened)
	scanner.Buffer(nil, 1<<30)
	var trees []tlog.Tree
	var hashes []tlog.Hash
	events := 0
	for scanner.Scan() {
		var l line
		must(json.Unmarshal(scanner.Bytes(), &l), "line")
		switch l.Type {
		case "checkpoint":
			tree := checkpoint(l.Note, vkey)
			trees = append(trees, tree)
			if l.Since != "" {
				old := checkpoint(l.Since, vkey)
				var proof tlog.TreeProof
				for _, one := range l.Proof {
					proof = append(proof, hash(one))
				}
				must(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash), "consistency")
				fmt.Printf("consistent %d %d\n", old.N, tree.N)
			}
		case "hashes":
			for _, one := range l.List {
				hashes = append(hashes, hash(one))
			}
		case "event":
			var proof tlog.RecordProof
			for _, at := range l.Path {
				proof = append(proof, hashes[at])
			}
			tree := trees[l.Log]
			must(tlog.CheckRecord(proof, tree.N, tree.Hash, l.Index, tlog.RecordHash(l.Body)), "inclusion")
			events++
		}
	}
	must(scanner.Err(), "bundle")
	fmt.Printf("included %d\n", events)
}

type files struct{ folder string }

func (f files) Height() int { return 8 }

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles reads C2SP tlog-tiles: the same tiles as the checksum database's, without the height in the path.
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		parts := strings.SplitN(path, "/", 3)
		level, err := strconv.Atoi(parts[1])
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(filepath.Join(f.folder, "tile", strconv.Itoa(level), parts[2]))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func entries(folder string, number int64, width int) [][]byte {
	tile := tlog.Tile{H: 8, L: 0, N: number, W: width}
	path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(folder, path))
	must(err, "entries")
	var found [][]byte
	for len(data) > 0 {
		size := int(binary.BigEndian.Uint16(data))
		found = append(found, data[2:2+size])
		data = data[2+size:]
	}
	return found
}

func static(folder, vkey string) {
	text, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	must(err, "checkpoint")
	tree := checkpoint(string(text), vkey)
	reader := tlog.TileHashReader(tree, files{folder})
	root, err := tlog.TreeHash(tree.N, reader)
	must(err, "tiles")
	if root != tree.Hash {
		must(fmt.Errorf("root %v", root), "tiles")
	}
	for index := int64(0); index < tree.N; {
		width := 256
		if left := tree.N - index; left < 256 {
			width = int(left)
		}
		for _, entry := range entries(folder, index/256, width) {
			proof, err := tlog.ProveRecord(tree.N, index, reader)
			must(err, "proof")
			must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)), "entry")
			index++
		}
	}
	fmt.Printf("entries %d\n", tree.N)
}

func main() {
	switch {
	case len(os.Args) == 4 && os.Args[1] == "bundle":
		bundle(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "log":
		static(os.Args[2], os.Args[3])
	default:
		fmt.Println("bundle FILE VKEY | log FOLDER VKEY")
		os.Exit(2)
	}
}
