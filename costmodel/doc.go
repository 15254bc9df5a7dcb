// Package costmodel turns quantities into money: usage x a dated price book =
// a statement whose rows add up to its meters, to the nano-dollar.
//
//	usage rows ──► meters ──P1──► money per meter ──P2──► money per row ──► Report
//	(who, what,    (sum of the    floor(N*Q1/D) -        largest remainder   (group, JSON,
//	 how much)      rows)         floor(N*Q0/D)          over quantities      CSV, table)
//
// It is arithmetic and nothing else: no clock, no network, no state, and no
// floating point anywhere (a test reads the source). Quantities are unsigned
// 128-bit integers, prices are exact fractions of a nano-dollar per base unit,
// money is a whole number of nano-dollars in 64 bits (at most $9.2e9).
//
// P1 telescopes over cumulative quantities, so that cutting or joining windows
// never changes a total. P2 is package internal/apportion. What no client zone can
// be found for is priced 0 and shown with an upper bound; what belongs to no
// topic is in a reserved row; neither is ever hidden.
//
// Prices are list prices of the first tier. They come from a price book: the
// embedded one (prices/, with source and date) or a file that replaces it.
package costmodel
