package main

// bucketFixes: deletion and uploads in the object store.
func bucketFixes() []mutant {
	const pkg, s3 = "./s3stream/bucket", "./s3stream/bucket/s3"
	return []mutant{
		{name: "a name that the store does not mention counts as deleted", pkg: s3, run: "ANameThatTheStoreDoesNotMention", edits: []edit{{"s3stream/bucket/s3/delete.go",
			"		case !gone[name]:\n", "		case name == \"\":\n"}}},
		{name: "a retry deletes the whole batch again", pkg: pkg, run: "RetryAsksOnly", edits: []edit{{"s3stream/bucket/retry_delete.go",
			"r.b.Delete(ctx, left...)", "r.b.Delete(ctx, batch...)"}}},
		{name: "a deletion that is denied is tried again", pkg: pkg, run: "RetryAsksOnly", edits: []edit{{"s3stream/bucket/deletion.go",
			"return errors.Is(err, ErrBusy) ||", "return errors.Is(err, ErrBusy) || errors.Is(err, ErrDenied) ||"}}},
		{name: "a denied batch ends the call", pkg: pkg, run: "RetryAsksOnly", edits: []edit{{"s3stream/bucket/retry_delete.go",
			"		if silent == nil {\n", "		if silent == nil && len(failed) == 0 {\n"}}},
		{name: "a lost answer confirms deletions", pkg: pkg, run: "ALostAnswerToADelete", edits: []edit{{"s3stream/bucket/deletion.go",
			"	if err != nil && !errors.As(err, &partial) {\n		return nil, err\n", "	if err != nil && !errors.As(err, &partial) {\n		return deleted, err\n"}}},
		{name: "a bad request of another kind ends batches for good", pkg: s3, run: "ABadRequestOfAnotherKind", edits: []edit{{"s3stream/bucket/s3/delete.go",
			"return !errors.Is(err, bucket.ErrBusy) && !errors.Is(err, bucket.ErrDenied)", "return true"}}},
		{name: "a busy store is asked for every name", pkg: s3, run: "SingleDeletesAreBounded", edits: []edit{{"s3stream/bucket/s3/delete.go",
			"		case busy.Load() >= singleDeletes:\n", "		case busy.Load() < 0:\n"}}},
		{name: "many single deletions are timed as one request", pkg: s3, run: "SingleDeletesGoOn", edits: []edit{{"s3stream/bucket/s3/delete.go",
			"		bucket.ReportAnswer(ctx)\n", ""}}},
		{name: "an empty folder is deleted as an object", pkg: pkg, run: "DirDeletesNoFolder", edits: []edit{{"s3stream/bucket/dir_delete.go",
			"err = syscall.Unlink(path)", "err = os.Remove(path)"}}},
		{name: "uploads of a neighbour are aborted", pkg: s3, run: "OldUploadsAreListed", edits: []edit{{"s3stream/bucket/uploads.go",
			"p.uploads.ListUploads(ctx, p.prefix+prefix, age)", "p.uploads.ListUploads(ctx, strings.TrimSuffix(p.prefix, \"/\")+prefix, age)"}}},
	}
}
