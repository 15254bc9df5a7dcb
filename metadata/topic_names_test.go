package metadata

import "testing"

func TestNamesThatFoldIntoOneAreFound(t *testing.T) {
	n := newTopicNames()
	s := &State{names: n}
	s.names.add("a.b", TopicID{1})
	s.names.add("plain", TopicID{2})
	for name, want := range map[string]string{"a_b": "a.b", "a.b": "", "ab": "", "plain": "", "a.c": ""} {
		if got, ok := s.CollidingTopic(name); got != want || ok != (want != "") {
			t.Errorf("%q collides with %q, want %q", name, got, want)
		}
	}
	s.names.add("a_b", TopicID{3}) // by a race of two brokers
	s.names.remove("a.b")
	if got, _ := s.CollidingTopic("a.b"); got != "a_b" {
		t.Errorf("collides with %q, want a_b", got)
	}
	s.names.remove("a_b")
	if got, ok := s.CollidingTopic("a.b"); ok {
		t.Errorf("collides with %q after both are gone", got)
	}
}
