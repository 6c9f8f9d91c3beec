// Command s3server is an S3-compatible object store for the tests: a Versity gateway over a folder. Every object is
// a plain file below the folder, so a test can look at what reached the disk; attributes lie in a second folder, so
// that no extended attributes are needed.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	log.SetFlags(0)
	address := flag.String("address", "127.0.0.1:7070", "`host:port` to listen on")
	objects := flag.String("objects", "", "existing `folder` of the objects, one folder in it per bucket")
	attributes := flag.String("attributes", "", "existing `folder` of the objects' attributes, not below the first")
	flag.Parse()
	if err := serve(*address, *objects, *attributes); err != nil {
		log.Fatalf("s3server: %v", err)
	}
}

// serve runs until SIGTERM or SIGINT. The credentials come from the variables that S3 clients read theirs from.
func serve(address, objects, attributes string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	store, err := meta.NewSideCar(attributes)
	if err != nil {
		return err
	}
	backend, err := posix.New(objects, store, posix.PosixOpts{
		SideCarDir:          attributes,
		CopyObjectThreshold: 5 << 30,
	})
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess:    os.Getenv("AWS_ACCESS_KEY_ID"),
		RootUserSecret:    os.Getenv("AWS_SECRET_ACCESS_KEY"),
		Ports:             []string{address},
		MaxConnections:    1024,
		MaxRequests:       256,
		MultipartMaxParts: 10000,
		HealthPath:        "/healthz",
		KeepAlive:         true,
		Quiet:             true,
	})
}
