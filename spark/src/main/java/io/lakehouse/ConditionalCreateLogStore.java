package io.lakehouse;

import io.delta.storage.S3SingleDriverLogStore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.s3a.RemoteFileChangedException;

/**
 * A Delta log on S3A that several drivers may write at once: a commit is created by the store itself, if none is there.
 *
 * <p>The class it extends looks whether the file exists and then puts it; of two drivers that look at the same moment
 * both are told that they have committed, and one commit is gone. Here the put carries {@code If-None-Match: *}.
 * A file becomes visible whole or not at all, and reading and listing stay as they are.
 */
public class ConditionalCreateLogStore extends S3SingleDriverLogStore {
  private static final String CONDITIONAL = "fs.option.create.conditional.overwrite";

  public ConditionalCreateLogStore(Configuration hadoopConf) {
    super(hadoopConf);
  }

  /**
   * Writes the lines of a commit; with {@code overwrite} false only where no file is.
   *
   * @throws FileAlreadyExistsException another writer has made this file
   */
  @Override
  public void write(Path path, Iterator<String> actions, Boolean overwrite, Configuration hadoopConf)
      throws IOException {
    if (overwrite) {
      super.write(path, actions, true, hadoopConf);
      return;
    }
    FileSystem fs = path.getFileSystem(hadoopConf);
    byte[] lines = encode(actions);
    try {
      create(fs, path, lines);
    } catch (RemoteFileChangedException refused) {
      // S3A repeats a put whose answer was lost: the file in the way may be this very commit.
      if (!holds(fs, path, lines)) {
        throw (IOException) new FileAlreadyExistsException(path.toString()).initCause(refused);
      }
    }
  }

  private static byte[] encode(Iterator<String> actions) {
    ByteArrayOutputStream lines = new ByteArrayOutputStream();
    actions.forEachRemaining(action -> lines.writeBytes((action + "\n").getBytes(StandardCharsets.UTF_8)));
    return lines.toByteArray();
  }

  private static void create(FileSystem fs, Path path, byte[] lines) throws IOException {
    FSDataOutputStream stream = (FSDataOutputStream) fs.createFile(path).recursive().must(CONDITIONAL, true).build();
    try {
      stream.write(lines);
    } catch (IOException | RuntimeException error) {
      stream.abort(); // closing would put what has been written so far
      throw error;
    }
    stream.close();
  }

  private static boolean holds(FileSystem fs, Path path, byte[] lines) throws IOException {
    try (InputStream stream = fs.open(path)) {
      return Arrays.equals(stream.readAllBytes(), lines);
    }
  }
}
