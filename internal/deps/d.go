package deps
import (
_ "github.com/twmb/franz-go/pkg/kgo"
_ "github.com/twmb/franz-go/pkg/kmsg"
_ "github.com/twmb/franz-go/pkg/kadm"
_ "github.com/aws/aws-sdk-go-v2/config"
_ "github.com/aws/aws-sdk-go-v2/credentials"
_ "github.com/aws/aws-sdk-go-v2/service/s3"
_ "github.com/VictoriaMetrics/metrics"
_ "go.yaml.in/yaml/v3"
_ "go.etcd.io/etcd/client/v3"
_ "go.etcd.io/etcd/server/v3/embed"
_ "github.com/klauspost/compress/zstd"
_ "github.com/klauspost/compress/s2"
_ "github.com/pierrec/lz4/v4"
)
