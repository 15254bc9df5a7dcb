// Package apportion divides an integer among claimants so that nothing is lost
// and nothing is made up: the largest remainder method (Hamilton), exact, with
// no floating point.
//
// It owns nothing. metadata's apply uses it to split one PUT among the topics
// of an object, costmodel to split a meter's money among rows; both rely on
// the same four promises:
//
//   - the parts sum to the total;
//   - each part is within 1 of its exact quota total x weight / sum of weights;
//   - more weight never gets less, and zero weight gets zero;
//   - the result depends on the arguments alone. Equal remainders are resolved
//     by index, so the caller sorts its claimants by something deterministic.
//
// Split increments, never a growing total again: the method has the
// Alabama paradox (10 over 6:6:2 gives 4,4,2 and 11 gives 5,5,1), so a
// re-apportioned cumulative series can fall.
package apportion
