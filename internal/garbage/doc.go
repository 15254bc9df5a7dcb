// Package garbage deletes from the bucket what the state says is dead, and finds
// what sessions that ended left there.
//
//	dead objects in the state -> grace, recovery base, nothing in doubt
//	  -> DeleteObjects -> ConfirmDeleted for exactly what was confirmed
//	leftovers in the state -> listing -> BuryLeftovers: then they are dead objects
//
// One broker does it, the holder of the role Role. It may die at any point: an
// object that was deleted and not confirmed is deleted once more.
package garbage
