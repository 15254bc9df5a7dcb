package cli

import (
	"fmt"
	"slices"
)

// nearestName returns the known name with the smallest edit distance, or "" where
// none is near enough to be meant.
func nearestName(name string, known []string) string {
	best, least := "", len(name)/2+2
	known = slices.Clone(known)
	slices.Sort(known)
	for _, k := range known {
		if d := editDistance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// didYouMean is what an error about an unknown name ends with.
func didYouMean(name, prefix string, known []string) string {
	if k := nearestName(name, known); k != "" {
		return fmt.Sprintf("; did you mean %s%s?", prefix, k)
	}
	return ""
}

// editDistance is Levenshtein's: insertions, deletions and replacements of bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(diagonal+cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
